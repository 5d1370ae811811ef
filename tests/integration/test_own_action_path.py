"""An action of one's own through a real worker: listed in the file, run by a delivery, as a step too."""

from pathlib import Path
from uuid import uuid4

import pytest

from holdfast.contracts import names
from holdfast.domain.expressions import EVENT
from holdfast.domain.mapping import CompiledRun
from tests import buses, durable
from tests.durable import delivery, failure
from tests.servers import NatsServer, TemporalServer

pytestmark = pytest.mark.integration

MODULE = """
from pydantic import BaseModel
from holdfast.actions import ActionContext, Refused, action

class Charge(BaseModel):
    cents: int

@action("charge")
async def charge(given: Charge, context: ActionContext) -> dict:
    if given.cents < 0:
        raise Refused("less than nothing")
    return {"charged": given.cents, "key": context.delivery}
"""
YAML = """
version: 1
actions: [mine.py]
sources: {shop: {dangerous_unverified: true}}
triggers:
  alone: {on: shop, run: {activity: {name: charge, args: {cents: event.data.cents}}}}
  steps:
    on: shop
    run:
      steps:
        - {name: first, activity: {name: charge, args: {cents: event.data.cents}}}
        - {name: second, activity: {name: charge, args: {cents: steps.first.result.charged + 1}}}
"""


async def test_it_runs_in_the_worker(tmp_path: Path, nats_server: NatsServer, temporal_server: TemporalServer) -> None:
    """Its result is the delivery's, later steps read it, and `Refused` is a dead letter at the first attempt."""
    (tmp_path / "mine.py").write_text(MODULE)
    loaded = durable.config(tmp_path, YAML)
    client = await durable.connect(temporal_server.plan.address)
    runs = {name: CompiledRun(trigger.run) for name, trigger in loaded.config.triggers.items()}
    async with buses.connected(nats_server) as bus, durable.stack(client, bus, loaded, {}) as stack:
        key = f"alone/shop/{uuid4().hex}"
        good = delivery(runs["alone"].action(EVENT.bind(event={"data": {"cents": 5}})))
        assert (await stack.deliver(good, key))["result"] == {"charged": 5, "key": key}
        steps = delivery(runs["steps"].action(EVENT.bind(event={})), body=b'{"cents": 5}')
        done = await stack.deliver(steps, f"steps/shop/{uuid4().hex}")
        assert done["result"]["second"]["charged"] == 6
        bad = delivery(runs["alone"].action(EVENT.bind(event={"data": {"cents": -1}})))
        handle = await stack.start(names.EVENT_DELIVERY, bad, f"alone/shop/{uuid4().hex}")
        assert "less than nothing" in (await failure(handle)).message
        (record,) = [one for one in await stack.dead_letters() if one.id == handle.id]
        assert (record.code, record.attempt_count) == ("target.refused", 1)
