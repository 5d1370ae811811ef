"""What an import has to say: everything that could not be translated, or means something else here, with the reason."""

from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Finding:
    """One remark. `lost`: only a comment in the result; `changed`: it is there and differs; `todo`: for you."""

    kind: Literal["lost", "changed", "todo"]
    where: str  # Sensor/name.trigger.field
    what: str
    reason: str

    def show(self) -> str:
        """One line for people."""
        return f"{self.kind}: {self.where}: {self.what}: {self.reason}"


class Untranslatable(Exception):  # noqa: N818 - a verdict on a piece of a manifest
    """A piece of a manifest that has no counterpart; the text is the reason."""


@dataclass(slots=True)
class Notes:
    """Collects findings while one manifest is translated; `taken` hands them out as comments of one place."""

    where: str
    found: list[Finding] = field(default_factory=list)

    def at(self, part: str) -> "Notes":
        """The same collection, one place further in."""
        return Notes(f"{self.where}.{part}", self.found)

    def add(self, kind: Literal["lost", "changed", "todo"], what: str, reason: str) -> None:
        """Keep one remark."""
        self.found.append(Finding(kind, self.where, what, reason))


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a section of holdfast.yaml; `active` False writes it as a comment."""

    section: Literal["sources", "triggers", "schedules"]
    name: str
    content: dict[str, Any]
    comments: tuple[str, ...] = ()
    active: bool = True
