"""Every workflow that a Holdfast worker runs; the worker and the replayer take this list."""

from workflows.bulk import BulkOperation, Replay
from workflows.case_watch import CaseWatch
from workflows.custody import Custody
from workflows.dead_letter import DeadLetter
from workflows.delivery import EventDelivery
from workflows.escalation import Escalation
from workflows.join import Join
from workflows.joined_event import JoinedEvent
from workflows.key_queue import KeyQueue
from workflows.schedule_watch import ScheduleWatch
from workflows.scheduled import ScheduledEvent
from workflows.sweep import Sweep
from workflows.unknown import UnknownType

WORKFLOWS: list[type] = [
    EventDelivery,
    DeadLetter,
    ScheduledEvent,
    Join,
    JoinedEvent,
    KeyQueue,
    CaseWatch,
    ScheduleWatch,
    Escalation,
    BulkOperation,
    Replay,
    Sweep,
    Custody,
    UnknownType,
]
