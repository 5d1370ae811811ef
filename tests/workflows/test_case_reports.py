"""What a case tells its escalation: everything in order while one follows it, once and no more where none does."""

import contextlib
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest
from temporalio import activity
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.exceptions import ApplicationError
from temporalio.testing import WorkflowEnvironment

from holdfast.contracts import names
from holdfast.contracts.escalations import CaseNotice, ReportedCase
from holdfast.embedded.servers import binary
from holdfast.embedded.sink import Reply
from tests import buses, durable
from tests.durable import Stack
from tests.servers import NatsServer
from tests.workflows.conftest import CONFIG, registered
from tests.workflows.test_case_moves import policed
from tests.workflows.test_dead_letter import closed, move, open_case, record, until

pytestmark = pytest.mark.integration


@dataclass
class Pager:
    """Stands for the escalations: takes a case under a name, or does not."""

    follows: str
    fail: int = 0
    told: list[CaseNotice] = field(default_factory=list)

    @activity.defn(name=names.REPORT_CASE)
    async def report_case(self, notice: CaseNotice) -> ReportedCase:
        """Remember it."""
        if self.fail:
            self.fail -= 1
            raise ApplicationError("away")
        self.told.append(notice)
        return ReportedCase(escalation=self.follows)


@contextlib.asynccontextmanager
async def paged(pager: Pager, directory: Path, server: NatsServer) -> AsyncIterator[Stack]:
    """A worker on a clock that jumps, with this pager."""
    async with (
        await WorkflowEnvironment.start_time_skipping(
            test_server_existing_path=binary("temporal-test-server"), data_converter=pydantic_data_converter
        ) as env,
        registered(env.client),
        buses.connected(server) as bus,
        durable.stack(
            env.client, bus, durable.config(directory, CONFIG), {}, {names.REPORT_CASE: pager.report_case}
        ) as running,
    ):
        yield running


async def test_an_escalation_that_follows_a_case_hears_of_every_change(tmp_path: Path, nats_server: NatsServer) -> None:
    """Opened with the policy that its trigger asks for, then what was done, by whom, in order; failing calls repeat."""
    pager = Pager("oncall", fail=2)
    async with paged(pager, tmp_path, nats_server) as stack:
        stack.sink.script["/"] = deque([Reply(410)])
        handle = await open_case(stack, policed(stack, 201, escalation="primary", expire_after=timedelta(days=9)))
        await move(handle, names.SNOOZE, {"by": "ana", "for": "1d"})
        await move(handle, names.ACKNOWLEDGE, {"by": "ana"})
        await move(handle, names.REDRIVE, {"by": "ana"})
        await until(handle, "open")
        await move(handle, names.DISCARD, {"by": "ben", "reason": "done"})
        await closed(handle)
    assert [(one.change, one.by) for one in pager.told] == [
        ("opened", "holdfast"),
        ("snoozed", "ana"),
        ("acknowledged", "ana"),
        ("reopened", "holdfast"),
        ("closed", "ben"),
    ]
    assert [one.escalation for one in pager.told] == ["primary", *["oncall"] * 4]
    assert pager.told[1].until is not None
    assert (pager.told[3].code, pager.told[4].state) == ("target.refused", "discarded")


async def test_the_end_of_a_snooze_is_reported(tmp_path: Path, nats_server: NatsServer) -> None:
    """Nobody has it any more: the escalation begins anew; expiry closes it."""
    pager = Pager("oncall")
    async with paged(pager, tmp_path, nats_server) as stack:
        handle = await open_case(stack, policed(stack, 202, escalation="oncall", expire_after=timedelta(days=9)))
        await move(handle, names.ACKNOWLEDGE, {"by": "ana"})
        await move(handle, names.SNOOZE, {"by": "ana", "for": "1d"})
        assert (await closed(handle)).state == "expired"
    assert [one.change for one in pager.told] == ["opened", "acknowledged", "snoozed", "reopened", "closed"]


async def test_where_nobody_follows_nothing_more_is_reported(tmp_path: Path, nats_server: NatsServer) -> None:
    """One question per case, and no more cost."""
    pager = Pager("")
    async with paged(pager, tmp_path, nats_server) as stack:
        handle = await open_case(stack, record(stack, 203))
        await move(handle, names.ACKNOWLEDGE, {"by": "ana"})
        await move(handle, names.DISCARD, {"by": "ana", "reason": "done"})
        await closed(handle)
    assert [(one.change, one.escalation) for one in pager.told] == [("opened", None)]
