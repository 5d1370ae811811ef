"""What a metric, a span and a log event are, before they have names: `holdfast/telemetry/names.py` has those."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["counter", "gauge", "histogram"]


@dataclass(frozen=True, slots=True)
class MetricName:
    """One metric. `name` is OpenTelemetry's, dotted; `unit` is UCUM, an annotation in braces counts things."""

    name: str
    kind: Kind
    unit: str
    labels: tuple[str, ...]
    description: str
    buckets: tuple[float, ...] = ()

    @property
    def prometheus(self) -> str:
        """Name in the exposition, without a histogram's `_bucket`, `_count` and `_sum`."""
        plain = self.name.replace(".", "_")
        if self.kind == "counter":
            return f"{plain}_total"
        return plain + {"s": "_seconds", "By": "_bytes"}.get(self.unit, "")


@dataclass(frozen=True, slots=True)
class SpanName:
    """One span and where it is made."""

    name: str
    kind: Literal["server", "producer", "consumer", "client", "internal"]
    description: str


@dataclass(frozen=True, slots=True)
class LogEvent:
    """One log event: the message is the name, the facts are fields."""

    name: str
    level: Literal["debug", "info", "warning", "error"]
    fields: tuple[str, ...]
    description: str
