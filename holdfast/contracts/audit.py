"""One line of the audit log: who asked for what over the admin API, on what, and what came of it.

Neither bodies nor tokens nor reasons: what people write stands in the history of the case or schedule itself.
"""

from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

MAX_TARGET = 1_000  # characters

Outcome = Literal["started", "done", "refused", "failed"]
"""`started` is stored before anything is done, one of the others after it. `failed`: whether it was done is unknown."""


class AuditEntry(BaseModel):
    """One operation, as it is stored before and again after it; both have the same `id`."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    version: Literal[1] = 1
    id: str  # of the request, as X-Request-Id answered it
    at: AwareDatetime  # when it was asked for
    by: str  # name of the access token
    scope: str  # of that token
    action: str  # dead-letter.redrive
    target: str = Field(default="", max_length=MAX_TARGET)  # id of the dead letter, name of the schedule
    details: dict[str, str] = {}  # what was asked for, as far as it is neither text of people nor a body
    outcome: Outcome
    code: str = ""  # of the problem, where there was one
    status: int | None = None  # of the answer
    peer: str = ""  # address it came from
    took_ms: int | None = None
