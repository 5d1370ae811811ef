"""`/v1/schedules`: look after any schedule, plan and apply those of the file. Flow: desk → holdfast/temporal."""

from enum import StrEnum
from typing import Annotated, Any

from fastapi import Body, Query, Request
from fastapi.responses import JSONResponse
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from temporalio.client import ScheduleOverlapPolicy

from holdfast.clock import rfc3339
from holdfast.domain.access import Scope
from holdfast.errors import ErrorCode, RejectedInput
from holdfast.temporal import schedule_calls as calls
from holdfast.temporal import schedules as temporal_schedules
from holdfast.temporal.schedule_plain import plain_plan, plain_view
from holdfast.temporal.schedule_views import view_schedule, view_schedules
from workers.api.desk import Desk, Operation, no_key, person
from workers.api.routing import Routes, answer

TAG = "schedules"
_FORBID = ConfigDict(frozen=True, extra="forbid")


class Overlap(StrEnum):
    """What to do when one still runs: Temporal's overlap policies."""

    SKIP = "skip"
    BUFFER_ONE = "buffer_one"
    BUFFER_ALL = "buffer_all"
    CANCEL_OTHER = "cancel_other"
    TERMINATE_OTHER = "terminate_other"
    ALLOW_ALL = "allow_all"


class PauseInput(BaseModel):
    """Why, for whoever looks next."""

    model_config = _FORBID

    reason: str = Field(min_length=1, max_length=300)
    by: str | None = Field(default=None, max_length=120, description="Who, where that is not the token's name.")


class TriggerInput(BaseModel):
    """How to tick once, now."""

    model_config = _FORBID

    overlap: Overlap | None = Field(default=None, description="Default: as the schedule says.")


class BackfillInput(BaseModel):
    """Which range to tick for, both ends included."""

    model_config = _FORBID

    start: AwareDatetime
    end: AwareDatetime
    overlap: Overlap = Overlap.ALLOW_ALL


class ApplyInput(BaseModel):
    """How far applying goes."""

    model_config = _FORBID

    prune: bool = Field(default=False, description="Delete what Holdfast made and the file no longer has.")
    adopt: bool = Field(default=False, description="Take over schedules of the same name that somebody else made.")


def declare(routes: Routes, desk: Desk) -> None:
    """Add the routes."""

    @routes.look("/v1/schedules", "schedule.list", TAG)
    async def listed() -> JSONResponse:
        """List every schedule that publishes events, also those made by hand."""
        return answer({"items": [plain_view(view) for view in await view_schedules(desk.client())]})

    @routes.look("/v1/schedules/{name:path}", "schedule.show", TAG, 404)
    async def show(name: str) -> JSONResponse:
        """Show one: its recent runs, the next ones, and what was missed."""
        return answer(plain_view(await view_schedule(desk.client(), _named(name))))

    @routes.look("/v1/schedule-plan", "schedule.plan", TAG)
    async def plan(query: Annotated[ApplyInput, Query()]) -> JSONResponse:
        """Say what applying would change, by the configuration that this worker was started with. Changes nothing."""
        wanted = desk.loaded.config.schedules
        entries = await temporal_schedules.plan(desk.client(), wanted, prune=query.prune, adopt=query.adopt)
        return answer({"items": [plain_plan(entry) for entry in entries]})

    @routes.act("/v1/schedule-plan/apply", "schedule.apply", TAG, scope=Scope.ADMIN)
    async def apply(request: Request, given: Annotated[ApplyInput, Body()] = ApplyInput()) -> JSONResponse:  # noqa: B008 - frozen
        """Make Temporal's schedules those of the configuration that this worker was started with."""

        async def work() -> dict[str, Any]:
            wanted = desk.loaded.config.schedules
            done = await temporal_schedules.apply(desk.client(), wanted, prune=given.prune, adopt=given.adopt)
            return {"items": [plain_plan(entry) for entry in done]}

        details = {"prune": given.prune, "adopt": given.adopt}
        return answer(await desk.carry_out(request, Operation("schedule.apply", "", details), work))

    _declare_changes(routes, desk)


def _declare_changes(routes: Routes, desk: Desk) -> None:  # noqa: C901 - one closure per change
    def path(verb: str) -> tuple[str, str, str, int]:
        return f"/v1/schedules/{{name:path}}/{verb}", f"schedule.{verb}", TAG, 404

    @routes.act(*path("pause"))
    async def pause(request: Request, name: str, given: PauseInput) -> JSONResponse:
        """Pause one; it stays paused, whatever is applied, until somebody resumes it."""

        async def work() -> dict[str, Any]:
            note = f"{given.reason} ({person(request, given.by)})"
            await calls.pause(desk.client(), _named(name), note)
            return plain_view(await view_schedule(desk.client(), name))

        return answer(await desk.carry_out(request, Operation("schedule.pause", name), work))

    @routes.act(*path("resume"))
    async def resume(request: Request, name: str, given: PauseInput) -> JSONResponse:
        """Let one tick again; ticks of the pause are not made up for, see backfill."""

        async def work() -> dict[str, Any]:
            note = f"{given.reason} ({person(request, given.by)})"
            await calls.resume(desk.client(), _named(name), note)
            return plain_view(await view_schedule(desk.client(), name))

        return answer(await desk.carry_out(request, Operation("schedule.resume", name), work))

    @routes.act(*path("trigger"))
    async def trigger(
        request: Request,
        name: str,
        given: Annotated[TriggerInput, Body()] = TriggerInput(),  # noqa: B008 - frozen
    ) -> JSONResponse:
        """Tick once, now, also where it is paused; the event's id is this second's time."""
        no_key(request)

        async def work() -> dict[str, Any]:
            await calls.trigger(desk.client(), _named(name), _policy(given.overlap))
            return plain_view(await view_schedule(desk.client(), name))

        return answer(await desk.carry_out(request, Operation("schedule.trigger", name), work))

    @routes.act(*path("backfill"))
    async def backfill(request: Request, name: str, given: BackfillInput) -> JSONResponse:
        """Tick for every time of a range; a tick that ran already has the same event id and is not delivered again."""
        if given.end < given.start:
            raise RejectedInput(ErrorCode.INPUT_INVALID, "end: before start")

        async def work() -> dict[str, Any]:
            policy = _policy(given.overlap) or ScheduleOverlapPolicy.ALLOW_ALL
            times = await calls.backfill(desk.client(), _named(name), given.start, given.end, policy)
            return {"ticks": [rfc3339(moment) for moment in times]}

        details = {"start": rfc3339(given.start), "end": rfc3339(given.end)}
        return answer(await desk.carry_out(request, Operation("schedule.backfill", name, details), work))


def _policy(overlap: Overlap | None) -> ScheduleOverlapPolicy | None:
    return None if overlap is None else ScheduleOverlapPolicy[overlap.name]


def _named(name: str) -> str:
    """Refuse at once what cannot be a schedule's id. Raises RejectedInput `not_found`."""
    if not (0 < len(name) <= 1_000 and name.isprintable()):
        raise RejectedInput(ErrorCode.NOT_FOUND, "There is no such schedule.")
    return name
