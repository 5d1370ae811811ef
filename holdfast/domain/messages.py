"""Speaking to a workflow of the user's own: signal, update, and both with a start where it does not run yet."""

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from holdfast.domain.quantities import Duration

_FROZEN = ConfigDict(frozen=True, extra="forbid")
_ID = (
    "Id of the workflow, with `${…}`, e.g. `order-${event.data.order_id}`; `/` and `%` in values are encoded. It is"
    " looked for in Holdfast's own namespace."
)
_ARGS = "CEL, one per argument. Default: one argument, the whole event."


def _within(value: timedelta) -> timedelta:
    if not timedelta(0) < value <= timedelta(minutes=10):
        raise ValueError("must be longer than 0s and at most 10m")
    return value


class SignalRun(BaseModel):
    """Signal a workflow that runs."""

    model_config = _FROZEN

    workflow_id: str = Field(min_length=1, description=_ID)
    name: str = Field(min_length=1, max_length=200, description="Name of the signal.")
    args: tuple[str, ...] | None = Field(default=None, max_length=20, description=_ARGS)
    when_missing: Literal["retry", "dead_letter"] = Field(
        default="retry",
        description="No workflow of that id was ever started: try again by `retry` (it may come later), or dead-letter"
        " at once. One that has ended is a dead letter in any case.",
    )


class UpdateRun(SignalRun):
    """Update a workflow that runs, and keep what it answers as the delivery's result."""

    within: Annotated[Duration, AfterValidator(_within)] = Field(
        default=timedelta(seconds=10),
        description="How long one attempt waits for the answer. Past it the next attempt asks for the same update.",
    )


class SignalWithStartRun(BaseModel):
    """Signal a workflow, and start it before where none of that id runs: one step, nothing comes between."""

    model_config = _FROZEN

    workflow: str = Field(min_length=1, max_length=200, description="Type of the workflow to start.")
    task_queue: str = Field(min_length=1, max_length=200, description="The task queue your worker polls.")
    workflow_id: str = Field(min_length=1, description=_ID)
    name: str = Field(min_length=1, max_length=200, description="Name of the signal or update.")
    args: tuple[str, ...] | None = Field(default=None, max_length=20, description=_ARGS)
    start_args: tuple[str, ...] = Field(
        default=(), max_length=20, description="CEL, the arguments of the workflow itself. Default: none."
    )
    timeout: Duration | None = Field(default=None, description="How long the run may take in all.")


class UpdateWithStartRun(SignalWithStartRun):
    """Update a workflow, start it before where none of that id runs, and keep the answer as the delivery's result."""

    within: Annotated[Duration, AfterValidator(_within)] = Field(
        default=timedelta(seconds=10),
        description="How long one attempt waits for the answer. Past it the next attempt asks for the same update.",
    )
