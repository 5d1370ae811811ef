"""How an operation over many things goes on: its pace over hours and runs, and what a new run knows of the old one."""

import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio import activity
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment

from holdfast.contracts import names
from holdfast.contracts.operations import (
    BulkWork,
    CaseSelection,
    Cursor,
    OperationInput,
    Progress,
    SliceInput,
    SliceResult,
    Survey,
    SurveyInput,
    Tally,
)
from holdfast.embedded.servers import binary
from tests import buses, durable
from tests.durable import Stack
from tests.servers import NatsServer
from tests.workflows.conftest import CONFIG, registered

pytestmark = pytest.mark.integration

MINUTE = timedelta(minutes=1)
NUMBER = 450  # slices: more than fit into one history


@dataclass
class Items:
    """Stands for the things themselves: each slice does one, and says when the pace allows the next."""

    at: list[datetime] = field(default_factory=list)
    runs: set[str] = field(default_factory=set)
    marks: set[str] = field(default_factory=set)  # what makes an item's Update id

    @activity.defn(name=names.SURVEY_OPERATION)
    async def survey(self, given: SurveyInput) -> Survey:
        """Count them."""
        return Survey(count=NUMBER, note=given.began.isoformat())

    @activity.defn(name=names.ADVANCE_OPERATION)
    async def advance(self, given: SliceInput) -> SliceResult:
        """Do the next."""
        info = activity.info()
        assert given.cursor.sequence == len(self.at)
        assert given.items == 1
        self.at.append(info.scheduled_time)
        self.runs.add(info.workflow_run_id or "")
        self.marks.add(given.run)
        return SliceResult(
            cursor=Cursor(sequence=len(self.at)),
            tally=Tally(done=1),
            finished=len(self.at) == NUMBER,
            not_before=info.scheduled_time + MINUTE,
        )


@contextlib.asynccontextmanager
async def at_work(items: Items, directory: Path, server: NatsServer) -> AsyncIterator[Stack]:
    """A worker on a clock that jumps, with these things."""
    stands: dict[str, Callable[..., Any]] = {
        names.SURVEY_OPERATION: items.survey,
        names.ADVANCE_OPERATION: items.advance,
    }
    async with (
        await WorkflowEnvironment.start_time_skipping(
            test_server_existing_path=binary("temporal-test-server"), data_converter=pydantic_data_converter
        ) as env,
        registered(env.client),
        buses.connected(server) as bus,
        durable.stack(env.client, bus, durable.config(directory, CONFIG), {}, stands) as running,
    ):
        yield running


@pytest.mark.timeout(180)
async def test_hours_of_items_keep_their_pace_over_new_runs(tmp_path: Path, nats_server: NatsServer) -> None:
    """450 slices at one a minute: never sooner, each once and in order, in several runs that count on as one."""
    items = Items()
    async with at_work(items, tmp_path, nats_server) as stack:
        work = BulkWork(move="acknowledge", select=CaseSelection(where="true"))
        given = OperationInput.model_validate({"work": work, "by": "ana", "rate": "1/m", "confirmed": True})
        handle = await stack.start(names.BULK_OPERATION, given, "operation/long")
        first = handle.result_run_id or handle.first_execution_run_id
        last = Progress.model_validate(await handle.result())
    assert (last.phase, last.tally.done, last.missed, last.by) == ("done", NUMBER, 0, "ana")
    assert len(items.runs) >= 2  # it went on anew, before its history grew long
    assert items.marks == {first}  # and yet sends for each item what the first run would have sent
    assert last.survey.note == last.began.isoformat()  # what it counted, and from when, is still that of the first
    gaps = [later - sooner for sooner, later in zip(items.at, items.at[1:], strict=False)]
    assert min(gaps) >= MINUTE
    assert len(items.at) == NUMBER
