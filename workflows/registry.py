"""Every workflow that a Holdfast worker runs; the worker and the replayer take this list."""

from workflows.dead_letter import DeadLetter
from workflows.delivery import EventDelivery
from workflows.escalation import Escalation
from workflows.scheduled import ScheduledEvent
from workflows.unknown import UnknownType
from workflows.watch import CaseWatch

WORKFLOWS: list[type] = [EventDelivery, DeadLetter, ScheduledEvent, CaseWatch, Escalation, UnknownType]
