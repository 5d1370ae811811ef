"""Which cases of a group are open, in little memory: eight bytes for each, whichever way and however often it is told.

Tens of thousands fit into one payload of Temporal; past MAX_KNOWN they are only counted.
"""

import base64
from dataclasses import dataclass, field

from pydantic import BaseModel, ConfigDict

from holdfast import ids

MAX_KNOWN = 40_000  # 320 kB, 427 kB as base64; Temporal warns at 512 KiB of one payload
_KEY = 8  # bytes; 40,000 of them collide with a probability of 1e-10


class PackedCases(BaseModel):
    """The same as text, for the next run of the workflow."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    waiting: str = ""
    handled: str = ""
    uncounted_waiting: int = 0
    uncounted_handled: int = 0


@dataclass(slots=True)
class Casebook:
    """Open cases: `waiting` for somebody, or `handled` by somebody (acknowledged, snoozed)."""

    _waits: dict[bytes, bool] = field(default_factory=dict)
    _waiting: int = 0
    _more_waiting: int = 0  # past MAX_KNOWN: without identity, so a repeated notice counts twice
    _more_handled: int = 0

    @property
    def waiting(self) -> int:
        """How many nobody has acknowledged."""
        return self._waiting + self._more_waiting

    @property
    def open(self) -> int:
        """How many are not closed."""
        return len(self._waits) + self._more_waiting + self._more_handled

    def wait(self, case: str) -> bool:
        """Note that a case needs somebody; False where it was known before."""
        key = _key(case)
        if key not in self._waits and len(self._waits) >= MAX_KNOWN:
            self._more_waiting += 1
            return True
        before = self._waits.get(key)
        self._waiting += before is not True
        self._waits[key] = True
        return before is None

    def knows(self, case: str) -> bool:
        """Whether a case is open and known by itself."""
        return _key(case) in self._waits

    def handle(self, case: str) -> None:
        """Note that somebody looks after a case."""
        key = _key(case)
        if key in self._waits:
            self._waiting -= self._waits[key]
            self._waits[key] = False

    def handle_all(self) -> None:
        """Note that somebody looks after all of them."""
        self._waits = dict.fromkeys(self._waits, False)
        self._waiting = 0
        self._more_handled, self._more_waiting = self._more_handled + self._more_waiting, 0

    def close(self, case: str) -> bool:
        """Note that a case is closed; False where none was open."""
        key = _key(case)
        if key in self._waits:
            self._waiting -= self._waits.pop(key)
        elif self._more_waiting:
            self._more_waiting -= 1
        elif self._more_handled:
            self._more_handled -= 1
        else:
            return False
        return True

    def pack(self) -> PackedCases:
        """Return it as text."""
        return PackedCases(
            waiting=_pack([key for key, waits in self._waits.items() if waits]),
            handled=_pack([key for key, waits in self._waits.items() if not waits]),
            uncounted_waiting=self._more_waiting,
            uncounted_handled=self._more_handled,
        )

    @classmethod
    def unpack(cls, packed: PackedCases) -> "Casebook":
        """Read what `pack` wrote."""
        waiting = _unpack(packed.waiting)
        waits = dict.fromkeys(waiting, True) | dict.fromkeys(_unpack(packed.handled), False)
        return cls(waits, len(waiting), packed.uncounted_waiting, packed.uncounted_handled)


def _key(case: str) -> bytes:
    return bytes.fromhex(ids.fingerprint("case", case)[: 2 * _KEY])


def _pack(keys: list[bytes]) -> str:
    return base64.b64encode(b"".join(keys)).decode("ascii")


def _unpack(text: str) -> list[bytes]:
    raw = base64.b64decode(text)
    return [raw[at : at + _KEY] for at in range(0, len(raw), _KEY)]
