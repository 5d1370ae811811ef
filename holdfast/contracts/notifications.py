"""What is said to people: one notification to one notifier, complete, so that any of them can be written from it."""

from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict

from holdfast.domain.incidents import Sample

NOTIFY_ATTEMPTS = 9  # with waits of 2 s growing to 1 min: about four minutes

About = Literal["alarm", "acknowledged", "recovered", "test"]


class Notification(BaseModel):
    """Input of `notify`, and the JSON that `webhook` and `nats` send. Bounded texts only, never a body."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str  # the same for every attempt: Idempotency-Key, webhook-id, Nats-Msg-Id
    notifier: str
    about: About
    escalation: str  # name of the policy
    group: str  # what is told as one: trigger/bill, stray/shop/decode
    incident: str  # the same from the first alarm to its end: PagerDuty's dedup_key, Opsgenie's alias
    workflow_id: str  # of the escalation
    at: AwareDatetime
    since: AwareDatetime
    tier: int = 0  # from 1; 0 where it is none
    times: int = 1  # how often this tier was told in this incident, this one included
    waiting: int = 0  # open, and nobody has acknowledged
    open: int = 0  # not closed yet
    failures: int = 0  # of this incident, also those that are closed
    codes: dict[str, int] = {}  # of the whole group
    samples: tuple[Sample, ...] = ()
    trigger: str = ""
    source: str = ""
    stage: str = ""
    by: str = ""  # acknowledged: who


class NotifyResult(BaseModel):
    """Result of `notify`: what the other side said, for the UI."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    said: str = ""
