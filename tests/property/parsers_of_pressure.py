"""Parsers of what bounds deliveries: the buckets on the bus, and the expressions over an event."""

from datetime import timedelta
from typing import Any

from holdfast.bus import controls, lanes, registers
from holdfast.domain.expressions import EVENT
from holdfast.domain.pressure import PressureConfig
from holdfast.domain.resolve_pressure import CompiledPressure
from holdfast.domain.templates import MappingError
from tests.durable import event
from tests.property.foreign import data, documents, mostly, records
from tests.property.fuzzing import OURS, Parser

_BY_EVENT = CompiledPressure(PressureConfig(key="event.data", not_before="event.data", delay=timedelta(seconds=1)))


def _resolve(given: Any) -> None:
    _BY_EVENT.resolve(EVENT.bind(event={"data": given}), event())


PRESSURE: dict[str, Parser] = {
    "reply of a bucket": Parser(("holdfast.bus.registers",), registers._written, mostly(records("error", "seq"))),
    "what is paused": Parser(("holdfast.bus.controls",), controls.parse_pauses, documents),
    "state of a lane": Parser(("holdfast.bus.lanes",), lanes.parse_state, documents, ()),
    "key and time of an event": Parser(("holdfast.domain.resolve_pressure",), _resolve, data, (*OURS, MappingError)),
}
