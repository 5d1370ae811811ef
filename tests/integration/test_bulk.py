"""Operations over many dead letters on real servers: each once, stable while cases close, steered, bounded."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

from holdfast.contracts.moves import DiscardInput, RedriveInput
from holdfast.contracts.operations import BulkWork, CaseSelection, OperationInput, SteerInput
from holdfast.embedded.sink import Reply
from holdfast.errors import ErrorCode, RejectedInput
from holdfast.temporal import cases, operations
from holdfast.temporal.namespace import ensure_namespace
from tests import buses, durable
from tests.bulks import ended, open_cases, received, redrive_all
from tests.conftest import assert_eventually
from tests.durable import Stack
from tests.servers import NatsServer, TemporalServer

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]


@pytest.fixture
async def stack(tmp_path: Path, nats_server: NatsServer, temporal_server: TemporalServer) -> AsyncIterator[Stack]:
    """A worker on a real Temporal."""
    client = await Client.connect(temporal_server.plan.address, data_converter=pydantic_data_converter)
    await ensure_namespace(client, timedelta(days=7))
    async with (
        buses.connected(nats_server) as bus,
        durable.stack(client, bus, durable.config(tmp_path), {}) as running,
    ):
        yield running


async def test_every_case_of_a_selection_is_redriven_once_while_the_list_shrinks(stack: Stack) -> None:
    """A hundred and twenty cases close as they are redriven, and none is passed over or done twice."""
    await open_cases(stack.client, stack.sink.url, range(120), source="once")
    await operations.start(stack.client, redrive_all("once", rate="1000/s"), "once")
    last = await ended(stack.client, "once")
    assert (last.survey.count, last.tally.done, last.tally.failed, last.missed) == (120, 120, 0, 0)

    async def arrived() -> bool:
        return sum(received(stack.sink).values()) == 120

    await assert_eventually(arrived)
    assert set(received(stack.sink).values()) == {1}
    assert await operations.start(stack.client, redrive_all("once"), "once")  # it is known, and nothing begins again


async def test_two_operations_at_once_redrive_each_case_once_though_it_fails_again(stack: Stack) -> None:
    """The target refuses, so each case opens again at once; the other operation leaves it."""
    stack.sink.standing.update({f"/item/{number}": Reply(410) for number in range(200, 260)})
    await open_cases(stack.client, stack.sink.url, range(200, 260), source="both")
    given = redrive_all("both", rate="1000/s", confirmed=False)
    await operations.start(stack.client, given, "both-1")
    await operations.start(stack.client, given, "both-2")
    for name in ("both-1", "both-2"):
        await _phase(stack, name, "waiting")
    await asyncio.gather(
        *(operations.steer(stack.client, name, "confirm", SteerInput(by="ana")) for name in ("both-1", "both-2"))
    )
    first, second = await ended(stack.client, "both-1"), await ended(stack.client, "both-2")
    assert first.tally.done + second.tally.done == 60

    async def arrived() -> bool:
        return sum(received(stack.sink).values()) == 60

    await assert_eventually(arrived)
    assert set(received(stack.sink).values()) == {1}
    skipped = {**first.tally.skipped, **second.tally.skipped}
    assert set(skipped) <= {"case.redriven", "case.redriving"}
    assert first.tally.total == second.tally.total == 60


async def test_it_is_paused_resumed_and_cancelled(stack: Stack) -> None:
    """At two a second it is caught on its way; what was done stays, what was not is left alone."""
    await open_cases(stack.client, stack.sink.url, range(300, 340), source="steered")
    await operations.start(stack.client, redrive_all("steered", rate="2/s"), "steered")

    async def begun() -> bool:
        return (await operations.show(stack.client, "steered")).tally.done > 0

    await assert_eventually(begun, within=40)
    await operations.steer(stack.client, "steered", "pause", SteerInput(by="ben", reason="lunch"))
    held = await _phase(stack, "steered", "paused")
    await operations.steer(stack.client, "steered", "resume", SteerInput(by="ben"))

    async def more() -> bool:
        return (await operations.show(stack.client, "steered")).tally.done > held

    await assert_eventually(more, within=40)
    await operations.steer(stack.client, "steered", "cancel", SteerInput(by="ben", reason="enough"))
    last = await ended(stack.client, "steered")
    assert (last.phase, [one.what for one in last.said]) == ("cancelled", ["pause", "resume", "cancel"])
    assert held < last.tally.done < 40
    with pytest.raises(RejectedInput) as refused:
        await operations.steer(stack.client, "steered", "pause", SteerInput())
    assert refused.value.code == ErrorCode.OPERATION_ILLEGAL_MOVE


async def test_what_others_settled_is_counted_and_not_touched(stack: Stack) -> None:
    """A case that was discarded, and one that was redriven, after it began are left, each with its reason."""
    stack.sink.standing["/item/401"] = Reply(410)
    await open_cases(stack.client, stack.sink.url, range(400, 405), source="others")
    await operations.start(stack.client, redrive_all("others", rate="1000/s", confirmed=False), "others")
    await _phase(stack, "others", "waiting")
    await cases.discard(stack.client, "gone/others/bulk-400", DiscardInput(reason="no"))
    await cases.redrive(stack.client, "gone/others/bulk-401", RedriveInput())

    async def failed_again() -> bool:
        return len((await cases.show_case(stack.client, "gone/others/bulk-401")).failures) == 1

    await assert_eventually(failed_again)
    await operations.steer(stack.client, "others", "confirm", SteerInput(by="ana"))
    last = await ended(stack.client, "others")
    assert last.tally.done == 3
    assert last.tally.skipped.get("case.redriven") == 1
    assert last.tally.skipped.get("case.closed", 0) + last.missed == 1
    view = await cases.show_case(stack.client, "gone/others/bulk-402")
    assert "operation/others" in view.redrive_log[0].reason


async def test_a_dry_run_counts_filters_and_touches_nothing(stack: Stack) -> None:
    """CEL and fields together; the sample names cases, the counts say of which kind."""
    await open_cases(stack.client, stack.sink.url, range(500, 520), source="dry", trigger="a")
    await open_cases(stack.client, stack.sink.url, range(520, 530), source="dry", trigger="b", code="target.timeout")
    work = BulkWork(
        move="discard", select=CaseSelection(source="dry", where='case.error.endsWith("timeout")'), reason="old"
    )
    await operations.start(stack.client, OperationInput(work=work, dry_run=True), "dry")
    last = await ended(stack.client, "dry")
    assert (last.phase, last.survey.count, last.survey.by) == ("dry-run", 10, {"open, b, target.timeout": 10})
    assert all(one["trigger"] == "b" for one in last.survey.sample)
    real = work.model_copy(update={"select": CaseSelection(source="dry")})
    await operations.start(stack.client, OperationInput(work=real, confirmed=True), "wet")
    assert (await ended(stack.client, "wet")).tally.done == 30
    assert not received(stack.sink)


async def test_a_selection_that_makes_no_sense_fails_in_words(stack: Stack) -> None:
    """Closed cases are for replay; an expression that is none is said to be none."""
    for name, select in (("bad-1", CaseSelection(where="case.")), ("bad-2", CaseSelection(where="1 + 1"))):
        given = OperationInput(work=BulkWork(move="redrive", select=select), confirmed=True)
        await operations.start(stack.client, given, name)
        last = await ended(stack.client, name)
        assert (last.phase, last.message != "") == ("failed", True)


async def _phase(stack: Stack, name: str, phase: str) -> int:
    """Wait for a phase; return how many are done then."""
    done: list[int] = []

    async def there() -> bool:
        last = await operations.show(stack.client, name)
        done.append(last.tally.done)
        return last.phase == phase

    await assert_eventually(there, within=60, why=f"{name} is {phase}")
    return done[-1]
