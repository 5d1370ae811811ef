"""The configuration in force: a changed file replaces it whole, or not at all.

    file changes, or SIGHUP → read and check everything → every part prepares → all of them swap in one step

A file that is wrong, or that some part cannot take, changes nothing: the old configuration stays in force, and log,
metric and health page say so until the file is mended. Work under way keeps what it began with.
"""

import asyncio
import contextlib
import hashlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Protocol

from holdfast.domain.matching import CompiledTriggers
from holdfast.domain.registered import RegisteredAction
from holdfast.errors import HoldfastError, Unavailable
from holdfast.settings.file import HoldfastConfig, LoadedConfig, load_config

log = logging.getLogger(__name__)

LOOK_EVERY = timedelta(seconds=1)  # a file counts as changed when two looks in a row find it so: nobody still writes it

Prepare = Callable[[LoadedConfig], Awaitable[Callable[[], None]]]
"""Get ready for a new configuration, or raise HoldfastError; the returned step swaps and cannot fail."""

_Seen = tuple[int, int, int] | None  # modified (ns), inode, size; None: not there


class ConfigMetrics(Protocol):
    """What is counted here: `holdfast.telemetry.metrics.Metrics`."""

    def config(self, fingerprint: str, stale: bool) -> None:
        """Show which configuration is in force, and whether the file is another."""
        ...

    def config_reloaded(self, outcome: str) -> None:
        """Count a reload: `applied` or `refused`."""
        ...


class LiveConfig:
    """Stands where a LoadedConfig stood, and is always the one in force."""

    def __init__(
        self, loaded: LoadedConfig, metrics: ConfigMetrics, fixed: tuple[str, ...] = (), *, actions: bool = True
    ) -> None:
        """`fixed` names what this process reads only at its start, dotted, like `gateway.limits`.

        `actions` False: this process imports no action of the user's own.
        """
        self._actions = actions
        self._loaded = self._started = loaded
        self._metrics = metrics
        self._fixed = fixed
        self._prepare: list[Prepare] = []
        self._asked = asyncio.Event()
        self._seen = self._tried = look_at(loaded.file)
        self._again = False  # what refused it was a server that is away
        self.stale = ""  # why the file is not in force; empty when it is
        self.needs_restart: tuple[str, ...] = ()
        metrics.config(self.fingerprint, False)

    @property
    def loaded(self) -> LoadedConfig:
        """The configuration in force, as one piece: take it once per piece of work."""
        return self._loaded

    @property
    def file(self) -> Path:
        """The file."""
        return self._loaded.file

    @property
    def config(self) -> HoldfastConfig:
        """The configuration in force."""
        return self._loaded.config

    @property
    def triggers(self) -> CompiledTriggers:
        """The triggers in force."""
        return self._loaded.triggers

    @property
    def actions(self) -> Mapping[str, RegisteredAction]:
        """The user's own actions in force."""
        return self._loaded.actions

    @property
    def fingerprint(self) -> str:
        """Twelve hex digits; equal configurations have equal ones, whatever their comments and order."""
        return fingerprint(self._loaded.config)

    def facts(self) -> dict[str, object]:
        """Describe it, for health pages."""
        state: dict[str, object] = {"hash": self.fingerprint, "state": "stale" if self.stale else "current"}
        if self.stale:
            state["reason"] = self.stale
        if self.needs_restart:
            state["needs_restart"] = list(self.needs_restart)
        return state

    def on_change(self, prepare: Prepare) -> None:
        """Have a part take every new configuration."""
        self._prepare.append(prepare)

    def ask(self) -> None:
        """Reload soon, changed or not: secrets may have changed where the file has not."""
        self._asked.set()

    async def keep(self) -> None:
        """Watch the file for ever."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY.total_seconds()):
                    await self._asked.wait()
            asked = self._asked.is_set()
            self._asked.clear()
            before, self._seen = self._seen, await asyncio.to_thread(look_at, self.file)
            settled = self._seen == before
            if asked or self._again or (settled and self._seen != self._tried):
                await self.reload()

    async def reload(self) -> bool:
        """Read, check, prepare, swap; return whether the file is in force now. Never raises for what it says."""
        self._tried = await asyncio.to_thread(look_at, self.file)
        try:
            new = await asyncio.to_thread(load_config, self.file, actions=self._actions)
            steps = [await prepare(new) for prepare in self._prepare]
        except HoldfastError as error:
            self._refused(error)
            return False
        except Exception as error:
            log.exception("config.reload_failed")
            self._say_stale(f"a bug: {type(error).__name__}")
            return False
        before = self.fingerprint
        self._loaded = new
        for step in steps:
            step()
        self.stale, self._again = "", False
        self.needs_restart = tuple(
            name for name in self._fixed if _at(self._started.config, name) != _at(new.config, name)
        )
        self._metrics.config(self.fingerprint, False)
        self._metrics.config_reloaded("applied")
        log.warning(
            "config.reloaded",
            extra={"from": before, "to": self.fingerprint, "needs_restart": ", ".join(self.needs_restart)},
        )
        return True

    def _refused(self, error: HoldfastError) -> None:
        self._again = isinstance(error, Unavailable)
        if error.message != self.stale:
            log.error("config.refused", extra={"code": str(error.code), "reason": error.message})
            self._say_stale(error.message)

    def _say_stale(self, reason: str) -> None:
        self.stale = reason
        self._metrics.config(self.fingerprint, True)
        self._metrics.config_reloaded("refused")


def fingerprint(config: HoldfastConfig) -> str:
    """Return twelve hex digits of a configuration."""
    return hashlib.sha256(config.model_dump_json().encode()).hexdigest()[:12]


def look_at(file: Path) -> _Seen:
    """Return what changes when the file does, also behind a symbolic link."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size


def _at(config: HoldfastConfig, name: str) -> object:
    value: object = config
    for step in name.split("."):
        value = getattr(value, step)
    return value
