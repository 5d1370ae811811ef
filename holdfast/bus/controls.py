"""What people have paused: one value on the bus, written by the command line, watched by every worker.

Flow: `holdfast triggers pause` → **controls** → dispatcher, deliver. It survives every restart, and a worker that
cannot read it now keeps what it read last; one that never read it sends nothing.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, TypeAdapter, ValidationError

from holdfast.bus.connect import Bus
from holdfast.bus.registers import CONTROLS, read_register, write_register
from holdfast.errors import ErrorCode, HoldfastError, Unavailable

log = logging.getLogger(__name__)

Kind = Literal["trigger", "target"]
LOOK_EVERY = timedelta(milliseconds=500)
_KEY = "pauses"
_TRIES = 20


class Pause(BaseModel):
    """One trigger or target that somebody paused."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    reason: str
    by: str
    at: AwareDatetime


_ALL = TypeAdapter(dict[str, Pause])  # by `{kind}/{name}`


async def read_pauses(bus: Bus) -> dict[str, Pause]:
    """Return what is paused, by `trigger/{name}` and `target/{name}`. Raises Unavailable."""
    return (await _read(bus))[0]


async def pause(bus: Bus, kind: Kind, name: str, given: Pause) -> None:
    """Pause; one that is paused gets the new reason. Raises Unavailable."""
    await _change(bus, f"{kind}/{name}", given)


async def resume(bus: Bus, kind: Kind, name: str) -> bool:
    """Resume; False where it was not paused. Raises Unavailable."""
    return await _change(bus, f"{kind}/{name}", None)


async def _read(bus: Bus) -> tuple[dict[str, Pause], int]:
    raw, revision = await read_register(bus, CONTROLS, _KEY)
    return parse_pauses(raw), revision


def parse_pauses(raw: bytes) -> dict[str, Pause]:
    """Read what is paused; nothing where there is nothing. Raises Unavailable `bus.misconfigured`."""
    try:
        return _ALL.validate_json(raw) if raw else {}
    except ValidationError:
        raise Unavailable(
            ErrorCode.BUS_MISCONFIGURED, f"the value {_KEY} in the bucket {CONTROLS} is not one of Holdfast's"
        ) from None


async def _change(bus: Bus, name: str, given: Pause | None) -> bool:
    for _ in range(_TRIES):
        pauses, revision = await _read(bus)
        if given is None and name not in pauses:
            return False
        changed = {key: one for key, one in pauses.items() if key != name} | ({name: given} if given else {})
        if await write_register(bus, CONTROLS, _KEY, _ALL.dump_json(changed), after=revision) is not None:
            return True
    raise Unavailable(ErrorCode.BUS_UNAVAILABLE, "others write what is paused at the same time; try again")


class Controls:
    """What is paused, as one worker last read it."""

    def __init__(self, bus: Bus, changed: Callable[[str, bool], None] = lambda _name, _paused: None) -> None:
        """`changed` is told of every trigger or target that is paused (True) or resumed."""
        self._bus = bus
        self._changed = changed
        self._read = asyncio.Event()
        self.pauses: Mapping[str, Pause] = {}

    async def watch(self) -> None:
        """Look again and again, for ever."""
        said = ""
        while True:
            try:
                found = await read_pauses(self._bus)
            except HoldfastError as error:
                if error.message != said:
                    said = error.message
                    log.warning("controls.unreadable", extra={"reason": said})
            else:
                said = ""
                for name in sorted(found.keys() ^ self.pauses.keys()):
                    state = "paused" if name in found else "resumed"
                    self._changed(name, name in found)
                    log.warning("controls.changed", extra={"what": name, "state": state})
                self.pauses = found
                self._read.set()
            await asyncio.sleep(LOOK_EVERY.total_seconds())

    async def known(self, within: timedelta) -> bool:
        """Wait until it has been read once; False where that takes too long."""
        try:
            async with asyncio.timeout(within.total_seconds()):
                await self._read.wait()
        except TimeoutError:
            return False
        return True
