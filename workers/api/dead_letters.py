"""`/v1/dead-letters`: what failed for good, listed, shown and moved.

Flow: guard → desk → `holdfast/temporal/cases.py` and `case_list.py`.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypeVar

from fastapi import Body, Query, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from temporalio.client import Client

from holdfast.bus.retention import backlog_of
from holdfast.bus.streams import ESCALATOR
from holdfast.contracts.dead_letter import CaseView
from holdfast.contracts.moves import (
    AcknowledgeInput,
    AssignInput,
    CommentInput,
    DiscardInput,
    MoveInput,
    RedriveInput,
    SnoozeInput,
)
from holdfast.domain.deadletters import CaseState
from holdfast.errors import ErrorCode, HoldfastError, RejectedInput
from holdfast.temporal import case_list, cases
from holdfast.temporal.case_list import CaseFilter, Cursor, Where
from workers.api.desk import Desk, Operation, signed, update_id
from workers.api.queries import cursor_of, cursor_text, moment
from workers.api.routing import Routes, answer

TAG = "dead letters"
MAX_LIMIT = 1_000
LOOKED_AT = 5_000  # cases that one page looks at for `where`: then it ends, short, with `next`
BREATH = 100  # cases between two moments in which the worker does something else
CLOSED = frozenset({CaseState.RESOLVED, CaseState.DISCARDED, CaseState.EXPIRED})
Given = TypeVar("Given", bound=MoveInput)
Move = Callable[..., Awaitable[CaseView]]


class ListQuery(BaseModel):
    """Which dead letters."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    state: CaseState | None = Field(default=None, description="Only this state. Default: all that are open.")
    source: str | None = Field(default=None, max_length=200, description="Only of this source.")
    trigger: str | None = Field(default=None, max_length=200, description="Only of this trigger.")
    event_id: str | None = Field(default=None, max_length=1_000, description="Only of this event.")
    error: str | None = Field(default=None, max_length=100, description="Only with this code: target.refused.")
    assignee: str | None = Field(default=None, max_length=200, description="Only what this person has.")
    since: str | None = Field(default=None, max_length=64, description="Opened since: 2h, 7d, or a time with zone.")
    where: str | None = Field(default=None, max_length=4_000, description="CEL over `case`, true or false.")
    all: bool = Field(default=False, description="Also those that are resolved, discarded or expired.")


class PageQuery(ListQuery):
    """Which, and which part of them."""

    limit: int = Field(default=100, ge=1, le=MAX_LIMIT, description="At most this many.")
    cursor: str | None = Field(default=None, max_length=4_096, description="`next` of the page before.")


class CaseLine(BaseModel):
    """One dead letter of the list. Visibility lags by a moment; showing one does not."""

    id: str
    workflow_id: str
    state: str
    source: str
    event_id: str
    event_type: str
    trigger: str
    error: str
    assignee: str
    opened_at: str
    closed_at: str | None


class CasePage(BaseModel):
    """Some, the newest first; `next` is null where there are no more."""

    items: list[CaseLine]
    next: str | None


class CaseCount(BaseModel):
    """How many there are, and how many records have no case yet (null: the bus does not say)."""

    count: int
    by_state: dict[str, int]
    without_case: int | None


def declare(routes: Routes, desk: Desk) -> None:
    """Add the routes."""

    @routes.look("/v1/dead-letters", "dead-letter.list", TAG, model=CasePage)
    async def listed(query: Annotated[PageQuery, Query()]) -> JSONResponse:
        """List dead letters, the newest first: the open ones, or those of a state, or all."""
        return answer(await _page(desk, query))

    @routes.look("/v1/dead-letter-counts", "dead-letter.count", TAG, model=CaseCount)
    async def counted(query: Annotated[ListQuery, Query()]) -> JSONResponse:
        """Count dead letters by state. With `where` use the list."""
        if query.where is not None:
            raise RejectedInput(ErrorCode.INPUT_INVALID, "where: not for counts; list them page by page")
        states = await case_list.count_states(desk.client(), _filter(desk, query))
        by_state = {str(state): number for state, number in states.items() if number}
        return answer(
            {"count": sum(by_state.values()), "by_state": by_state, "without_case": await _without_case(desk)}
        )

    @routes.look("/v1/dead-letters/{dead_letter:path}", "dead-letter.show", TAG, 404, model=CaseView)
    async def show(dead_letter: str) -> JSONResponse:
        """Show one dead letter: the event, every attempt, why it failed, who did what."""
        return answer(await cases.show_case(desk.client(), _known(dead_letter)))

    _declare_moves(routes, desk)


def _declare_moves(routes: Routes, desk: Desk) -> None:  # noqa: C901 - one closure per move
    async def move(request: Request, dead_letter: str, act: Move, given: MoveInput, **details: object) -> JSONResponse:
        key, given = update_id(request, given), signed(request, given)
        operation = Operation(request.scope["route"].operation_id, _known(dead_letter), details)

        async def work() -> CaseView:
            client: Client = desk.client()
            view = await act(client, dead_letter, given, update_id=key)
            # an Update's answer leaves out a large event
            return await cases.show_case(client, dead_letter) if view.record_cut else view

        return answer(await desk.carry_out(request, operation, work))

    def path(verb: str) -> tuple[str, str, str, int, int]:
        return f"/v1/dead-letters/{{dead_letter:path}}/{verb}", f"dead-letter.{verb}", TAG, 404, 409

    nothing = AcknowledgeInput()
    redriven = RedriveInput()

    @routes.act(*path("acknowledge"), model=CaseView, keyed=True)
    async def acknowledge(
        request: Request, dead_letter: str, given: Annotated[AcknowledgeInput, Body()] = nothing
    ) -> JSONResponse:
        """Say that somebody looks after it."""
        return await move(request, dead_letter, cases.acknowledge, given)

    @routes.act(*path("assign"), model=CaseView, keyed=True)
    async def assign(request: Request, dead_letter: str, given: AssignInput) -> JSONResponse:
        """Give it to somebody; empty `to` gives it to nobody again."""
        return await move(request, dead_letter, cases.assign, given, to=given.to)

    @routes.act(*path("snooze"), model=CaseView, keyed=True)
    async def snooze(request: Request, dead_letter: str, given: SnoozeInput) -> JSONResponse:
        """Ask for no attention `for` a while or `until` a time."""
        until = given.until if given.until is not None else given.for_
        return await move(request, dead_letter, cases.snooze, given, until=until)

    @routes.act(*path("comment"), model=CaseView, keyed=True)
    async def comment(request: Request, dead_letter: str, given: CommentInput) -> JSONResponse:
        """Leave a note."""
        return await move(request, dead_letter, cases.comment, given)

    @routes.act(*path("redrive"), model=CaseView, keyed=True)
    async def redrive(
        request: Request, dead_letter: str, given: Annotated[RedriveInput, Body()] = redriven
    ) -> JSONResponse:
        """Deliver it again. The answer comes when the redrive has begun; show it to see how it ended."""
        edited = "yes" if given.body is not None else ""
        details = {"trigger": given.trigger or "", "config": given.config, "edited": edited}
        return await move(request, dead_letter, cases.redrive, given, **details)

    @routes.act(*path("discard"), model=CaseView, keyed=True)
    async def discard(request: Request, dead_letter: str, given: DiscardInput) -> JSONResponse:
        """Give it up, with the reason."""
        if not given.reason.strip():
            raise RejectedInput(ErrorCode.INPUT_INVALID, "reason: say why it need not be delivered")
        return await move(request, dead_letter, cases.discard, given)


async def _page(desk: Desk, query: PageQuery) -> dict[str, Any]:
    wanted = _filter(desk, query)
    where = _where(query.where)
    # what is a time ago moves on while pages are turned, and is no part of what the cursor belongs to
    plain = query.model_copy(update={"cursor": None, "limit": 0}).model_dump_json()
    start = cursor_of(query.cursor, plain) if query.cursor is not None else None
    items: list[dict[str, Any]] = []
    looked, end = 0, Cursor()
    size = query.limit + 1 if where is None else case_list.PAGE
    try:
        async with contextlib.aclosing(case_list.each_case(desk.client(), wanted, start=start, page=size)) as each:
            async for summary, place in each:
                if len(items) == query.limit or looked == LOOKED_AT:
                    return {"items": items, "next": cursor_text(end, plain)}
                if where is None or where.takes(summary):
                    items.append(summary.plain())
                looked, end = looked + 1, place
                if looked % BREATH == 0:
                    await asyncio.sleep(0)
    except RejectedInput as error:
        if start is None or error.code is ErrorCode.INPUT_INVALID:
            raise
        raise RejectedInput(ErrorCode.INPUT_INVALID, "cursor: no longer known; begin anew without it") from error
    return {"items": items, "next": None}


def _where(text: str | None) -> Where | None:
    try:
        return None if text is None else Where(text)
    except RejectedInput as error:
        raise RejectedInput(ErrorCode.INPUT_INVALID, f"where: {error.message}") from error


def _filter(desk: Desk, query: ListQuery) -> CaseFilter:
    return CaseFilter(
        only_open=not query.all and (query.state is None or query.state not in CLOSED),
        source=query.source,
        trigger=query.trigger,
        event_id=query.event_id,
        error=query.error,
        state=query.state,
        assignee=query.assignee,
        since=None if query.since is None else moment(query.since, desk.clock.now()),
    )


async def _without_case(desk: Desk) -> int | None:
    try:
        backlog = await backlog_of(desk.bus, ESCALATOR)
    except HoldfastError:
        return None
    return backlog.pending + backlog.ack_pending


def _known(dead_letter: str) -> str:
    """Refuse at once what cannot be an id. Raises RejectedInput `not_found`."""
    if not (0 < len(dead_letter) <= 1_000 and dead_letter.isascii() and dead_letter.isprintable()):
        raise RejectedInput(ErrorCode.NOT_FOUND, "There is no such dead letter.")
    return dead_letter
