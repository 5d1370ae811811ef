"""What the sweeper looks for, what it may answer, and how it is configured.

A run that ended without an outcome becomes a dead letter; what is alive but does not move becomes an alert.
"""

from datetime import timedelta
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from holdfast.domain.quantities import Duration


class FindingKind(StrEnum):
    """What fell through, or is about to."""

    TERMINATED = "run.terminated"
    TIMED_OUT = "run.timed_out"
    CANCELLED = "run.cancelled"
    FAILED = "run.failed"
    RESET = "run.reset"  # an old run ended so, and a newer one of the same id carries on
    TASKS_FAIL = "tasks.failing"
    WORKER_GONE = "worker.gone"
    OVERDUE = "overdue"
    CASE_MISSING = "case.missing"  # a record in DEAD_LETTERS that nobody made a case of
    CASE_OVERTAKEN = "case.overtaken"  # it waits, and its delivery, reset, has delivered
    STRANDED = "bus.stranded"
    CONSUMER = "bus.consumer"


class Answer(StrEnum):
    """What the sweeper did about it."""

    DEAD_LETTERED = "dead-lettered"
    CASE_STARTED = "case started"
    CASE_RESOLVED = "case resolved"
    TERMINATED = "terminated"  # past its deadline and not able to move; its dead letter is written or follows
    ALERT = "alert"
    NONE = "nothing to do"


class SweeperConfig(BaseModel):
    """The sweeper, which finds what fell through, and the custody report, which counts that nothing did.

    Both are Temporal Schedules, `holdfast-sweep` and `holdfast-custody`: pause or trigger them like any other.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    every: Duration = Field(
        default=timedelta(minutes=5),
        ge=timedelta(seconds=10),
        le=timedelta(days=1),
        description="How often the sweeper looks. Each look is one short workflow in Temporal.",
    )
    stuck_after: Duration = Field(
        default=timedelta(minutes=10),
        ge=timedelta(seconds=1),
        description="An event that waits on the bus for longer, with nothing before it, is an alert.",
    )
    deadline: Duration = Field(
        default=timedelta(hours=24),
        ge=timedelta(minutes=1),
        description="An event that has no outcome for longer is an alert. One that cannot move any more (its workflow"
        " tasks fail, or nobody polls its task queue) is given up then: a dead letter. Set it above the longest"
        " `give_up_after` and `timeout` of your triggers.",
    )
    custody_every: Duration = Field(
        default=timedelta(days=1),
        ge=timedelta(minutes=1),
        le=timedelta(days=6),
        description="How often the custody report is made. Longer than `bus.streams.events.archive_for` and it can"
        " only count, no longer name.",
    )
