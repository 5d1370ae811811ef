"""A bulk operation's own part: count the cases of a selection, and move the next ones.

Flow: survey_operation → **survey_bulk**; advance_operation → **advance_bulk** → scan → move_one.
"""

import asyncio
import contextlib
from datetime import datetime
from typing import Any

from temporalio import activity

from activities.slices import TOGETHER, Slice, beating, tally_failed
from holdfast.contracts.operations import MAX_SAMPLE, BulkWork, Cursor, SliceResult, Survey, Tally
from holdfast.errors import ErrorCode, Unavailable
from holdfast.temporal.bulk_moves import Done, Failed, Outcome, Skipped, answers, move_one
from holdfast.temporal.case_list import CaseSummary
from holdfast.temporal.case_scan import line, scan

TRIES = 3  # at a case that does not answer though Temporal does
KINDS = 50  # of state and trigger told apart


async def survey_bulk(work: BulkWork, began: datetime) -> Survey:
    """Count. Raises as `scan`."""
    count, by, sample = 0, dict[str, int](), list[dict[str, Any]]()
    found = scan(activity.client(), work.select, began, Cursor())
    async with contextlib.aclosing(found):  # type: ignore[type-var]
        async for case, _ in found:
            activity.heartbeat()
            if case is None:
                continue
            count += 1
            kind = f"{case.state}, {case.trigger or 'no trigger'}, {case.error}"
            if kind in by or len(by) < KINDS:
                by[kind] = by.get(kind, 0) + 1
            if len(sample) < MAX_SAMPLE:
                sample.append(line(case))
    return Survey(count=count, by=by, sample=tuple(sample))


async def advance_bulk(part: Slice, work: BulkWork) -> SliceResult:
    """Move the next cases, some at a time. Raises Unavailable where Temporal is away, with what was done kept."""
    info = activity.info()
    found = scan(
        activity.client(),
        work.select,
        part.given.began,
        part.cursor,
        closed_since=info.scheduled_time if info.attempt > 1 else None,
    )
    batch: list[tuple[Cursor, asyncio.Task[Outcome | None] | None, str]] = []
    async with beating(part), contextlib.aclosing(found):  # type: ignore[type-var]
        try:
            async for case, place in found:
                if case is None:
                    batch.append((place, None, ""))
                else:
                    await part.turn()
                    one = asyncio.create_task(_tried(part, work, case))
                    batch.append((place, one, case.dead_letter_id))
                while len(batch) >= TOGETHER:
                    await _settle(part, batch)
                if part.over:
                    await _all(part, batch)
                    return part.result(finished=False)
            await _all(part, batch)
        finally:
            left = [task for _, task, _ in batch if task is not None]
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)
    return part.result(finished=True)


async def _all(part: Slice, batch: list[tuple[Cursor, asyncio.Task[Outcome | None] | None, str]]) -> None:
    while batch:
        await _settle(part, batch)


async def _settle(part: Slice, batch: list[tuple[Cursor, asyncio.Task[Outcome | None] | None, str]]) -> None:
    """Take the oldest of the batch: the place moves on in order, so a crash forgets nothing."""
    place, task, item = batch[0]
    tally = Tally() if task is None else _counted(item, await task)
    batch.pop(0)
    part.moved(place, tally)


def _counted(item: str, outcome: Outcome | None) -> Tally:
    match outcome:
        case None:
            return Tally()
        case Done():
            return Tally(done=1)
        case Skipped(code):
            return Tally(skipped={code: 1})
        case Failed(code, message):
            return tally_failed(item, code, message)


async def _tried(part: Slice, work: BulkWork, case: CaseSummary) -> Outcome | None:
    """Move one case; one that stays silent is given up, Temporal's own silence is not."""
    dead_letter_id = case.dead_letter_id
    for _ in range(TRIES):
        try:
            outcome = await move_one(activity.client(), part.given, work, dead_letter_id)
            # one that closed while nobody wrote it down counts if it was ours; the others were never this slice's
            return None if case.closed_at is not None and not isinstance(outcome, Done) else outcome
        except Unavailable as error:
            if not await answers(activity.client(), dead_letter_id):
                return Skipped(ErrorCode.NOT_FOUND)
            silent = error
    return Failed(silent.code, silent.message)
