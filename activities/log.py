"""One line in the worker's log: the action to try a trigger with."""

import logging

from activities.target import Receipt, Shipment
from holdfast.domain.actions import LogAction
from holdfast.errors import bounded

log = logging.getLogger(__name__)


def write(action: LogAction, shipment: Shipment) -> Receipt:
    """Write the line."""
    facts = {
        "text": bounded(action.message),
        "source": shipment.event.source,
        "event_id": shipment.event.id,
        "event_type": shipment.event.type,
    }
    log.log(logging.WARNING if action.level == "warning" else logging.INFO, "trigger_log", extra=facts)
    return Receipt("logged")
