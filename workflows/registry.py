"""Every workflow that a Holdfast worker runs; the worker and the replayer take this list."""

from workflows.dead_letter import DeadLetter
from workflows.delivery import EventDelivery
from workflows.key_queue import KeyQueue
from workflows.scheduled import ScheduledEvent
from workflows.unknown import UnknownType

WORKFLOWS: list[type] = [EventDelivery, DeadLetter, ScheduledEvent, KeyQueue, UnknownType]
