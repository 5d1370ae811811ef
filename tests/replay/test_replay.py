"""Every recorded history replays with the workflows as they are: a change that would break running ones fails here."""

import asyncio
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio import workflow
from temporalio.client import WorkflowHistory
from temporalio.common import RawValue
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Replayer

from holdfast.contracts import names
from tests.replay.record import HISTORIES, SCENARIOS
from workers.replayer import replayer
from workers.sandbox import sandbox

FILES = sorted(HISTORIES.glob("*.json"))


def history(file: Path) -> WorkflowHistory:
    """Read a recorded history."""
    return WorkflowHistory.from_json(file.stem, file.read_text(encoding="utf-8"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
async def test_a_recorded_history_replays(file: Path) -> None:
    """The commands of today's code are those of the recording."""
    await replayer().replay_workflow(history(file))


def test_every_scenario_is_recorded() -> None:
    """No outcome is without its history, and no history without its scenario."""
    assert {file.stem for file in FILES} == set(SCENARIOS)


def test_the_recordings_hold_every_type_and_every_end() -> None:
    """Delivered, dead-lettered, cancelled; cases resolved, discarded, expired; ticks; the unknown."""
    ends = {(_kind(file), _end(file)) for file in FILES}
    assert ends >= {
        (names.EVENT_DELIVERY, "COMPLETED"),
        (names.EVENT_DELIVERY, "FAILED"),
        (names.EVENT_DELIVERY, "CANCELED"),
        (names.DEAD_LETTER, "COMPLETED"),
        (names.DEAD_LETTER, "FAILED"),
        (names.ESCALATION, "COMPLETED"),
        (names.ESCALATION, "CONTINUED_AS_NEW"),
        (names.ESCALATION, "FAILED"),
        (names.SCHEDULED_EVENT, "COMPLETED"),
        (names.SCHEDULED_EVENT, "FAILED"),
        (names.SCHEDULE_WATCH, "TERMINATED"),
        ("NoSuchWorkflow", "FAILED"),
    }


@workflow.defn(name=names.EVENT_DELIVERY, sandboxed=False)
class Changed:
    """A delivery whose commands are others: it waits first."""

    @workflow.run
    async def run(self, raw: RawValue) -> Any:
        """Issue a command that no recording has."""
        del raw
        await asyncio.sleep(timedelta(seconds=1).total_seconds())


async def test_a_changed_workflow_does_not_replay() -> None:
    """The check can fail: other commands than the recorded ones are non-determinism."""
    changed = Replayer(workflows=[Changed], workflow_runner=sandbox(), data_converter=pydantic_data_converter)
    with pytest.raises(workflow.NondeterminismError):
        await changed.replay_workflow(history(HISTORIES / "delivery-delivered-at-once.json"))


def _kind(file: Path) -> str:
    first = json.loads(file.read_text())["events"][0]["workflowExecutionStartedEventAttributes"]
    return str(first["workflowType"]["name"])


def _end(file: Path) -> str:
    last = json.loads(file.read_text())["events"][-1]["eventType"]
    return str(last).removeprefix("EVENT_TYPE_WORKFLOW_EXECUTION_")
