"""Finding the actions of the user's own: the modules that holdfast.yaml lists, and the entry points `holdfast.actions`.

Flow: holdfast.yaml → **load_actions** → `holdfast check`, the worker. Importing a module runs it: list what you trust.
"""

import importlib
import importlib.util
import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from holdfast.domain.registered import RegisteredAction, register
from holdfast.errors import ErrorCode, RejectedInput, bounded
from holdfast.ids import fingerprint

GROUP = "holdfast.actions"


def load_actions(modules: Sequence[str], base: Path) -> tuple[dict[str, RegisteredAction], list[tuple[int, str]]]:
    """Import what is listed (`package.module`, or `file.py`, relative to `base`) and what is installed.

    Returns the actions by name, and what could not be loaded as (number in `modules` or -1, reason).
    """
    found: dict[str, tuple[RegisteredAction, str]] = {}
    wrong: list[tuple[int, str]] = []
    for number, origin, load in _origins(modules, base):
        try:
            reasons = list(_enter(found, list(_actions_of(load())), origin))
        except RejectedInput as error:
            reasons = [error.message]
        except Exception as error:  # noqa: BLE001 - a module of the user's may raise anything
            reasons = [bounded(f"cannot be imported: {type(error).__name__}: {error}", 300)]
        wrong += [(number, f"{origin}: {reason}") for reason in reasons]
    return {name: one for name, (one, _) in found.items()}, wrong


def _enter(
    found: dict[str, tuple[RegisteredAction, str]], actions: Sequence[RegisteredAction], origin: str
) -> Iterator[str]:
    """Enter actions by their names; yield what is wrong with them."""
    if not actions:
        yield "has no action; decorate one with @action(…)"
    for one in actions:
        before, where = found.setdefault(one.name, (one, origin))
        if before.run is not one.run:
            yield f"action {one.name!r} is in {where} too"


def _origins(modules: Sequence[str], base: Path) -> Iterator[tuple[int, str, Any]]:
    for number, name in enumerate(modules):
        yield number, name, lambda name=name: _import(name, base)
    for point in sorted(entry_points(group=GROUP), key=lambda one: one.name):
        yield -1, f"entry point {point.name} ({point.value})", point.load


def _import(name: str, base: Path) -> ModuleType:
    if not name.endswith(".py"):
        place = str(base)
        if place not in sys.path:
            sys.path.append(place)  # behind everything installed: a file beside holdfast.yaml shadows nothing
        return importlib.import_module(name)
    path = (base / name).resolve()
    alias = "holdfast_actions_" + fingerprint("module", str(path))
    known = sys.modules.get(alias)
    if known is not None:
        return known
    spec = importlib.util.spec_from_file_location(alias, path)
    if spec is None or spec.loader is None:
        raise RejectedInput(ErrorCode.CONFIG_INVALID, "is no module of Python")
    module = importlib.util.module_from_spec(spec)
    sys.modules[alias] = module  # models with postponed annotations look themselves up there
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[alias]
        raise
    return module


def _actions_of(loaded: Any) -> Iterator[RegisteredAction]:
    """Every action in a module, a list or alone; a function with `@activity.defn` is one under its activity's name."""
    if isinstance(loaded, ModuleType):
        for value in vars(loaded).values():
            if isinstance(value, RegisteredAction) or getattr(value, "__module__", None) == loaded.__name__:
                yield from _actions_of(value)
    elif isinstance(loaded, list | tuple):
        for value in loaded:
            yield from _actions_of(value)
    elif isinstance(loaded, RegisteredAction):
        yield loaded
    else:
        definition = getattr(loaded, "__temporal_activity_definition", None)
        if definition is not None and callable(loaded) and definition.name is not None:
            yield register(definition.name, loaded)
