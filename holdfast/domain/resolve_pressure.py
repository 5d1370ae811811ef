"""Resolving for one event what holds its delivery back: the key of its queue, and the earliest time.

Flow: match → map → **resolve** → start. Pure, as all of matching.
"""

import json
from datetime import UTC, datetime, timedelta

from holdfast.domain.events import Envelope
from holdfast.domain.expressions import EVENT, Absent, Bound, Expression, Failed, Found
from holdfast.domain.pressure import LONGEST_DELAY, Pressure, PressureConfig
from holdfast.domain.templates import MappingError

WHOLE_TRIGGER = "*"
"""The key where `debounce` or `throttle` counts a trigger as a whole."""

MAX_KEY = 500  # characters; it is a search attribute


class CompiledPressure:
    """The expressions of one trigger, compiled."""

    def __init__(self, config: PressureConfig) -> None:
        """Compile. Raises RejectedInput `config.invalid`."""
        self._config = config
        self._key = EVENT.compile(config.key) if config.key is not None else None
        self._not_before = EVENT.compile(config.not_before) if config.not_before is not None else None

    @staticmethod
    def needed(config: PressureConfig) -> bool:
        """Whether anything is to be resolved; what only rates and counts bound is asked when it is sent."""
        return bool(config.queued or config.delay or config.not_before is not None or config.blackout)

    def resolve(self, bound: Bound, envelope: Envelope) -> Pressure:
        """Resolve for one event. Raises MappingError."""
        config = self._config
        key = self._key_of(bound)
        counted = config.debounce is not None or config.throttle is not None
        return Pressure(
            not_before=self._earliest(bound, envelope),
            blackout=config.blackout,
            key=key if key is not None or config.key is not None or not counted else WHOLE_TRIGGER,
            # what was debounced or throttled has gaps already: nothing is to be kept in order behind a failure
            on_failure="continue" if counted else config.on_failure,
            debounce=config.debounce,
            throttle=config.throttle,
        )

    def _key_of(self, bound: Bound) -> str | None:
        value = _value(self._key, bound, "key")
        if value is None or isinstance(value, str):
            text = value
        else:
            text = json.dumps(value, sort_keys=True, separators=(",", ":"))
        if text is not None and len(text) > MAX_KEY:
            raise MappingError(f"key: is longer than {MAX_KEY} characters")
        return text or None

    def _earliest(self, bound: Bound, envelope: Envelope) -> datetime | None:
        times = [envelope.received_at + self._config.delay] if self._config.delay > timedelta(0) else []
        value = _value(self._not_before, bound, "not_before")
        if value is not None:
            times.append(_moment(value, envelope.received_at))
        return max(times) if times else None


def _moment(value: object, received: datetime) -> datetime:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
        if moment is not None and moment.tzinfo is not None:
            moment = moment.astimezone(UTC)
            if moment - received > LONGEST_DELAY:
                raise MappingError("not_before: is more than 366 days after the event")
            return moment
    except (ValueError, OverflowError):
        pass
    raise MappingError("not_before: is no time; give a timestamp, or a text like 2026-11-20T08:00:00Z")


def _value(expression: Expression | None, bound: Bound, what: str) -> object:
    if expression is None:
        return None
    match expression.evaluate(bound):
        case Found(value):
            return value
        case Absent():
            return None
        case Failed(reason):
            raise MappingError(f"{what}: {reason}")
