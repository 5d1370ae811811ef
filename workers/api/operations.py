"""`/v1/bulk` and `/v1/replays`: operations over many dead letters or events: started, listed, shown, steered.

They are started counting only, and wait for `confirm`, unless `confirmed` is said at once.
Flow: guard → desk → `holdfast/temporal/operations.py`.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from fastapi import Body, Query, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, field_validator

from holdfast.contracts import names
from holdfast.contracts.operations import (
    DEFAULT_RATE,
    FASTEST,
    BulkWork,
    OperationInput,
    Progress,
    ReplayWork,
    SteerInput,
)
from holdfast.domain.expressions import EVENT
from holdfast.domain.quantities import Rate, RatePerTime, format_rate
from holdfast.errors import Conflict, ErrorCode, RejectedInput
from holdfast.temporal import operations
from holdfast.temporal.case_list import Where
from holdfast.temporal.case_scan import query_of
from workers.api.desk import Desk, Operation, person, update_id
from workers.api.routing import Routes, answer

NAME = r"^[A-Za-z0-9._-]{1,100}$"
Handler = Callable[..., Awaitable[JSONResponse]]
STEERED = {
    names.CONFIRM: "Go ahead with what was counted.",
    names.PAUSE: "Do nothing more until it is resumed; what is under way comes to its end, which takes seconds.",
    names.RESUME: "Go on.",
    names.CANCEL: "End it; what was done stays done.",
}


class Course(BaseModel):
    """How an operation goes, whatever it does."""

    rate: Rate = Field(default=DEFAULT_RATE, description="At most so many: 50/s, 10/m, 600/h; at most 1000/s.")
    dry_run: bool = Field(default=False, description="Only count them and show the first.")
    confirmed: bool = Field(default=False, description="Go ahead once it has counted; else it waits for `confirm`.")
    id: str | None = Field(
        default=None, pattern=NAME, description="Under a name nothing is done twice. Default: made of what is asked."
    )
    by: str | None = Field(default=None, max_length=120, description="Who, where that is not the token's name.")

    @field_validator("rate")
    @classmethod
    def _bounded(cls, rate: RatePerTime) -> RatePerTime:
        if rate.per_second > FASTEST:
            raise ValueError(f"at most {FASTEST}/s")
        return rate


class BulkStart(Course, BulkWork):
    """One move for every open dead letter of a selection."""


class ReplayStart(Course, ReplayWork):
    """Every event of a source that was stored between two times, to the triggers as they are configured now."""


class Said(BaseModel):
    """Why, for the record."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reason: str = Field(default="", max_length=2_000)
    by: str | None = Field(default=None, max_length=120, description="Who, where that is not the token's name.")


NOTHING_SAID = Said()


class OperationLine(BaseModel):
    """One operation of the list."""

    id: str
    kind: str
    state: str
    began: datetime
    ended: datetime | None = None


class OperationPage(BaseModel):
    """The ones under way and then the newest first."""

    items: list[OperationLine]


@dataclass(frozen=True, slots=True)
class _Kind:
    """One kind of operation: its tag, its path, its workflow's name, what its `work` says it is."""

    tag: str
    path: str
    workflow: str
    work: str


BULK = _Kind("bulk", "/v1/bulk", names.BULK_OPERATION, "bulk")
REPLAYS = _Kind("replays", "/v1/replays", names.REPLAY, "replay")


def declare(routes: Routes, desk: Desk) -> None:
    """Add the routes."""
    _declare_looks(routes, desk, BULK)

    @routes.act(BULK.path, "bulk.start", BULK.tag, 409, model=Progress, keyed=True)
    async def bulk(request: Request, given: BulkStart) -> JSONResponse:
        """Redrive, discard or acknowledge every open dead letter of a selection, each once. Counts first."""
        work = BulkWork.model_validate(given.model_dump(include=set(BulkWork.model_fields)))
        _check_bulk(work, dry_run=given.dry_run)
        return await _start(desk, request, given, work)

    _declare_steering(routes, desk, BULK)
    _declare_looks(routes, desk, REPLAYS)

    @routes.act(REPLAYS.path, "replays.start", REPLAYS.tag, 409, model=Progress, keyed=True)
    async def replay(request: Request, given: ReplayStart) -> JSONResponse:
        """Deliver events of the past to the triggers as they are now, under new, linked identities. Counts first."""
        work = ReplayWork.model_validate(given.model_dump(include=set(ReplayWork.model_fields)))
        if work.since >= work.until:
            raise RejectedInput(ErrorCode.INPUT_INVALID, "since: must be before until")
        if work.where is not None:
            EVENT.compile(work.where)
        return await _start(desk, request, given, work)

    _declare_steering(routes, desk, REPLAYS)


def _declare_looks(routes: Routes, desk: Desk, kind: _Kind) -> None:
    async def listed(limit: Annotated[int, Query(ge=1, le=1_000)] = 100) -> JSONResponse:
        found = await operations.list_operations(desk.client(), limit=limit, kind=kind.workflow)
        return answer({"items": [one.plain() for one in found]})

    listed.__doc__ = f"List {kind.tag} operations, those under way first."
    routes.look(kind.path, f"{kind.tag}.list", kind.tag, model=OperationPage)(listed)

    async def show(operation: str) -> JSONResponse:
        return answer(await _shown(desk, kind, operation))

    show.__doc__ = "Show where one is: what it counted, how many are done, skipped (and why), failed (and which)."
    routes.look(f"{kind.path}/{{operation:path}}", f"{kind.tag}.show", kind.tag, 404, model=Progress)(show)


def _declare_steering(routes: Routes, desk: Desk, kind: _Kind) -> None:
    for word, text in STEERED.items():
        handler = _steering(desk, kind, word)
        handler.__doc__ = text
        path, name = f"{kind.path}/{{operation:path}}/{word}", f"{kind.tag}.{word}"
        routes.act(path, name, kind.tag, 404, 409, model=Progress, keyed=True)(handler)


def _steering(desk: Desk, kind: _Kind, word: str) -> Handler:
    async def steer(request: Request, operation: str, given: Annotated[Said, Body()] = NOTHING_SAID) -> JSONResponse:
        key, said = update_id(request, given), SteerInput(by=person(request, given.by), reason=given.reason)

        async def work() -> Progress:
            await _shown(desk, kind, operation)  # one of the other kind is not here
            return await operations.steer(desk.client(), operation, word, said, update_id=key)

        return answer(await desk.carry_out(request, Operation(f"{kind.tag}.{word}", operation), work))

    return steer


async def _start(desk: Desk, request: Request, given: Course, work: BulkWork | ReplayWork) -> JSONResponse:
    """Start it, or attach to what runs under its id; an Idempotency-Key is an id."""
    given_id = given.id or update_id(request, given)
    asked = OperationInput(
        work=work,
        by=person(request, given.by),
        rate=given.rate,
        dry_run=given.dry_run,
        confirmed=given.confirmed,
    )
    name = given_id or operations.derived_id(asked)

    async def start() -> Progress:
        await operations.start(desk.client(), asked, given_id)
        found = await operations.show(desk.client(), name)
        if found.work.kind != work.kind:
            raise Conflict(ErrorCode.OPERATION_ILLEGAL_MOVE, "id: that of an operation of the other kind")
        return found

    action = "bulk.start" if isinstance(work, BulkWork) else "replays.start"
    return answer(await desk.carry_out(request, Operation(action, name, _details(asked)), start))


def _details(asked: OperationInput) -> Mapping[str, object]:
    """What the audit log says of it: everything but the reason."""
    plain = asked.work.model_dump(mode="json", exclude_none=True, exclude={"kind", "reason"})
    select = {f"of_{name}": value for name, value in plain.pop("select", {}).items()}
    return {**plain, **select, "rate": format_rate(asked.rate), "dry_run": asked.dry_run}


async def _shown(desk: Desk, kind: _Kind, operation: str) -> Progress:
    """Return one of this kind. Raises RejectedInput `not_found`, Unavailable."""
    unknown = RejectedInput(ErrorCode.NOT_FOUND, "There is no such operation.")
    if not (0 < len(operation) <= 200 and operation.isascii() and operation.isprintable()):
        raise unknown
    found = await operations.show(desk.client(), operation)
    if found.work.kind != kind.work:
        raise unknown
    return found


def _check_bulk(work: BulkWork, *, dry_run: bool) -> None:
    """Refuse at once what the operation would fail with, and what means everything without saying so."""
    if not work.select.model_dump(exclude_none=True):
        raise RejectedInput(ErrorCode.INPUT_INVALID, 'select: say which; {"where": "true"} means every open one')
    if work.move == "discard" and not work.reason.strip() and not dry_run:
        raise RejectedInput(ErrorCode.INPUT_INVALID, "reason: say why they need not be delivered")
    query_of(work.select)
    if work.select.where is not None:
        Where(work.select.where)
