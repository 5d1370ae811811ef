"""SIGKILL of worker and Temporal in the middle of a bulk redrive: every case's event reaches the target once."""

from collections import Counter
from functools import partial
from pathlib import Path

import pytest
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

from holdfast.contracts.operations import Progress
from holdfast.embedded.sink import Sink
from holdfast.embedded.stack import EmbeddedStack
from holdfast.errors import HoldfastError
from holdfast.temporal import operations
from holdfast.temporal.case_list import CaseFilter, count_cases
from tests import bulks
from tests.conftest import assert_eventually

pytestmark = [pytest.mark.fault, pytest.mark.timeout(400)]

CASES = 300
CONFIG = "version: 1\nsources: {shop: {dangerous_unverified: true}}\n"


async def test_a_bulk_redrive_survives_kills_and_does_each_once(tmp_path: Path) -> None:
    """Two operations over the same set, worker and Temporal killed on the way: one delivery per case, all of them."""
    sink = Sink()
    await sink.start()
    (tmp_path / "holdfast.yaml").write_text(CONFIG)
    stack = EmbeddedStack(tmp_path / "data", tmp_path / "holdfast.yaml", only=("nats", "temporal", "worker"))
    try:
        await stack.start()
        client = await Client.connect(stack.temporal_address, data_converter=pydantic_data_converter)
        await bulks.open_cases(client, sink.url, range(CASES))
        for name in ("one", "two"):
            await operations.start(client, bulks.redrive_all(rate="25/s"), name)
        for victims, share in ((("worker",), 0.1), (("temporal",), 0.3), (("worker", "temporal"), 0.6)):
            await assert_eventually(partial(_reached, sink, share), within=120, why=f"{share:.0%} arrived")
            for victim in victims:
                await stack.kill(victim)
            for victim in victims:
                await stack.wait_ready(victim)
        last = [await _ended(client, name) for name in ("one", "two")]

        async def settled() -> bool:
            return await count_cases(client, CaseFilter()) == 0

        await assert_eventually(settled, within=60, why="every case is resolved")
        _judge(sink, last)
    finally:
        await stack.stop()
        await sink.stop()


async def _ended(client: Client, name: str) -> Progress:
    found: list[Progress] = []

    async def over() -> bool:
        try:
            found.append(await operations.show(client, name))
        except HoldfastError:
            return False
        return found[-1].phase == "done"

    await assert_eventually(over, within=180, why=f"{name} ends")
    return found[-1]


async def _reached(sink: Sink, share: float) -> bool:
    return len(bulks.received(sink)) >= share * CASES


def _judge(sink: Sink, last: list[Progress]) -> None:
    keys = Counter(call.key for call in sink.calls if call.path.startswith("/item/"))
    assert len(keys) == CASES  # one delivery per case; an attempt whose answer a kill lost repeats its key
    assert all(key.endswith(":r1") for key in keys)
    assert len(bulks.received(sink)) == CASES
    # the work is exact; the count may miss what a killed slice had done, whose case was closed meanwhile
    assert 0.9 * CASES <= sum(one.tally.done for one in last) <= CASES
    assert [one.tally.failed for one in last] == [0, 0]
