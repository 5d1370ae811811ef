"""holdfast.yaml: read strictly, checked whole, every error reported at once with its line and a hint."""

import difflib
import fnmatch
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from holdfast.domain.access import ApiConfig
from holdfast.domain.escalations import EscalationConfig
from holdfast.domain.expressions import EVENT, TICK, TICKS
from holdfast.domain.intake import GatewayConfig
from holdfast.domain.matching import CompiledTriggers
from holdfast.domain.notifiers import NotifierConfig
from holdfast.domain.pressure import TargetConfig
from holdfast.domain.registered import RegisteredAction
from holdfast.domain.schedules import ScheduleConfig
from holdfast.domain.sources import SourceConfig
from holdfast.domain.streams import BusConfig
from holdfast.domain.sweeping import SweeperConfig
from holdfast.domain.triggers import TriggerConfig
from holdfast.errors import ErrorCode, RejectedInput
from holdfast.ids import NAME
from holdfast.settings import runs
from holdfast.settings.extensions import load_actions

MAX_FILE = 4_194_304  # bytes


class HoldfastConfig(BaseModel):
    """The whole of holdfast.yaml."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = Field(description="Version of this format: 1.")
    sources: dict[str, SourceConfig] = Field(default_factory=dict, description="Who may send webhooks, by name.")
    triggers: dict[str, TriggerConfig] = Field(default_factory=dict, description="What is done with events, by name.")
    schedules: dict[str, ScheduleConfig] = Field(default_factory=dict, description="Events by the clock, by name.")
    targets: dict[str, TargetConfig] = Field(
        default_factory=dict, description="Limits of what deliveries go to, by name, for all triggers together."
    )
    escalations: dict[str, EscalationConfig] = Field(
        default_factory=dict,
        description="Who is told of failures, by name. A list of tiers, or a mapping with `tiers` and more. The"
        " one named `default` takes what names none.",
    )
    notifiers: dict[str, NotifierConfig] = Field(default_factory=dict, description="How people are told, by name.")
    gateway: GatewayConfig = Field(default=GatewayConfig(), description="How webhooks are taken in.")
    bus: BusConfig = Field(default=BusConfig(), description="NATS JetStream.")
    actions: tuple[str, ...] = Field(
        default=(),
        max_length=100,
        description="Modules with actions of your own: `package.module`, or a file like `actions.py`, relative to this"
        " file. They are imported by the worker and by `holdfast check`, never by the gateway.",
    )
    sweeper: SweeperConfig = Field(default=SweeperConfig(), description="Finding what fell through.")
    api: ApiConfig = Field(default=ApiConfig(), description="Who may ask over HTTP.")


_SECTIONS: tuple[tuple[str, type[BaseModel]], ...] = (
    ("sources", SourceConfig),
    ("triggers", TriggerConfig),
    ("schedules", ScheduleConfig),
    ("escalations", EscalationConfig),
    ("notifiers", NotifierConfig),
    ("targets", TargetConfig),
)
"""Entries by name, each checked by itself."""


@dataclass(frozen=True, slots=True)
class ConfigProblem:
    """One error: `path` is dotted, `line` counts from 1 (0 where the file gave none)."""

    path: str
    message: str
    line: int = 0
    hint: str = ""

    def show(self, file: Path) -> str:
        """`holdfast.yaml:12: triggers.a.when: …; hint`."""
        where = f"{file}:{self.line}" if self.line else str(file)
        return f"{where}: {self.path + ': ' if self.path else ''}{self.message}{'; ' + self.hint if self.hint else ''}"


class ConfigError(RejectedInput):
    """The file cannot be used; `problems` holds every error found, in the order of the file."""

    def __init__(self, file: Path, problems: list[ConfigProblem]) -> None:
        self.file = file
        self.problems = sorted(problems, key=lambda p: p.line)
        super().__init__(ErrorCode.CONFIG_INVALID, "\n".join(p.show(file) for p in self.problems))


@dataclass(frozen=True, slots=True)
class LoadedConfig:
    """A configuration that passed every check, with its triggers compiled."""

    file: Path
    config: HoldfastConfig
    triggers: CompiledTriggers
    text: str = ""  # of the file; secrets are only ever referred to in it
    actions: Mapping[str, RegisteredAction] = field(default_factory=dict)  # the user's own


def load_config(file: Path, *, actions: bool = True) -> LoadedConfig:
    """Read and check `file`. Raises ConfigError with everything that is wrong.

    `actions` False imports no module of the user's: for the gateway, which runs none.
    """
    text = _read(file)
    tree = _parse(file, text)
    config, problems = _validate(tree)
    own, wrong = load_actions(config.actions, file.absolute().parent) if actions else ({}, [])
    for number, reason in wrong:
        path: tuple[int | str, ...] = ("actions", number) if number >= 0 else ()
        problems.append(ConfigProblem(".".join(map(str, path)), reason, _line(tree, path)))
    problems += [
        ConfigProblem(".".join(map(str, path)), message, _line(tree, path), hint)
        for path, message, hint in (
            *_cross_checks(config),
            *_trigger_checks(tree),
            *runs.findings(config.triggers, own if actions else None),
        )
    ]
    if problems:
        raise ConfigError(file, problems)
    return LoadedConfig(file, config, CompiledTriggers(config.triggers), text, own)


def _validate(tree: CommentedMap) -> tuple[HoldfastConfig, list[ConfigProblem]]:
    """Validate entry by entry, so that one broken entry hides no error in another; the sound ones come back."""
    problems: list[ConfigProblem] = []
    sound: dict[str, dict[str, Any]] = {}
    whole = _plain(tree)
    for section, model in _SECTIONS:
        sound[section] = {}
        for name, entry in _section(whole, section).items():
            try:
                sound[section][name] = model.model_validate(entry)
            except ValidationError as error:
                problems += [_problem(tree, e, (section, name)) for e in error.errors(include_url=False)]
        if isinstance(whole.get(section), dict):
            whole[section] = {}
    try:
        frame = HoldfastConfig.model_validate(whole)
    except ValidationError as error:
        problems += [_problem(tree, e, ()) for e in error.errors(include_url=False)]
        frame = HoldfastConfig(version=1)
    return frame.model_copy(update=sound), problems


def _section(tree: Any, section: str) -> dict[str, Any]:
    entries = tree.get(section)
    return entries if isinstance(entries, dict) else {}


def _read(file: Path) -> str:
    try:
        if file.stat().st_size > MAX_FILE:
            raise ConfigError(file, [ConfigProblem("", f"is larger than {MAX_FILE} bytes")])
        return file.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        hint = "name another with --config, or start from examples/holdfast.yaml"
        raise ConfigError(file, [ConfigProblem("", "there is no such file", 0, hint)]) from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(file, [ConfigProblem("", f"cannot be read: {type(error).__name__}")]) from error


def _parse(file: Path, text: str) -> CommentedMap:
    try:
        tree = YAML(typ="rt").load(text)
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        reason = (error.problem or "").splitlines()
        raise ConfigError(file, [ConfigProblem("", f"not YAML: {reason[0] if reason else error}", line)]) from error
    except (YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(file, [ConfigProblem("", f"not YAML: {error}")]) from error
    if not isinstance(tree, CommentedMap):
        raise ConfigError(file, [ConfigProblem("", "is empty or no mapping", 1, "begin with `version: 1`")])
    return tree


def _plain(node: Any) -> Any:
    """Plain data of a YAML tree; keys become text."""
    if isinstance(node, dict):
        return {str(key): _plain(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_plain(value) for value in node]
    return node


def _line(tree: Any, path: tuple[int | str, ...]) -> int:
    """Return the line, from 1, of the deepest node on `path` that the file has."""
    line, node = 1, tree
    for step in path:
        try:
            if isinstance(node, CommentedMap):
                key = next(k for k in node if str(k) == str(step))
                line, node = node.lc.key(key)[0] + 1, node[key]
            elif isinstance(node, CommentedSeq) and isinstance(step, int):
                line, node = node.lc.item(step)[0] + 1, node[step]
            elif isinstance(node, CommentedSeq) and step == "tiers":
                continue  # an escalation may be the list of its tiers alone
            else:
                break
        except (StopIteration, IndexError, KeyError, TypeError):
            break
    return line


def _problem(tree: CommentedMap, error: Any, parents: tuple[str, ...]) -> ConfigProblem:
    loc = (*parents, *error["loc"])
    message = str(error["msg"]).removeprefix("Value error, ")
    hint = ""
    if error["type"] == "extra_forbidden":
        message, hint = "unknown key", _did_you_mean(str(loc[-1]), _known_keys(loc[:-1]))
    elif error["type"] == "missing":
        message = "is required"
    return ConfigProblem(".".join(map(str, loc)), message, _line(tree, loc), hint)


def _known_keys(parents: tuple[int | str, ...]) -> list[str]:
    """Keys that are allowed at a place, found by walking the models."""
    model: Any = HoldfastConfig
    for step in parents:
        if isinstance(model, type) and issubclass(model, BaseModel):
            field = model.model_fields.get(str(step))
            model = field.annotation if field else None
        else:
            model = _inner(model)
        model = _without_none(model)
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        return []
    return [field.alias or name for name, field in model.model_fields.items()]


def _inner(annotation: Any) -> Any:
    return (getattr(annotation, "__args__", None) or (None,))[-1]


def _without_none(annotation: Any) -> Any:
    args = getattr(annotation, "__args__", ())
    return next((a for a in args if a is not type(None)), annotation) if type(None) in args else annotation


def _did_you_mean(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    if near:
        return f"did you mean {near[0]!r}?"
    return f"known here: {', '.join(sorted(known))}" if known else ""


_Finding = tuple[tuple[int | str, ...], str, str]


def _cross_checks(config: HoldfastConfig) -> Iterator[_Finding]:
    """Find what no single field can know: names, references, expressions."""
    for section, _ in _SECTIONS:
        for name in getattr(config, section):
            if not NAME.fullmatch(name):
                yield (section, name), "not a name", "use a-z, 0-9, - and _, at most 63 characters"
    for name in config.api.tokens:
        if not NAME.fullmatch(name):
            yield ("api", "tokens", name), "not a name", "use a-z, 0-9, - and _, at most 63 characters"
    for name in config.schedules.keys() & config.sources.keys():
        yield ("schedules", name), "a source has the same name", "their events could not be told apart"
    streams = list(config.bus.streams.of_events)
    for name, source in config.sources.items():
        if source.stream not in streams:
            yield (
                ("sources", name, "stream"),
                f"there is no stream of events {source.stream!r}",
                (f"{_did_you_mean(source.stream, streams)}; declare it under bus.streams"),
            )
    yield from _notified(config)
    yield from _routes(config)
    yield from _expressions(config)


def _trigger_checks(tree: CommentedMap) -> Iterator[_Finding]:
    """Check references and filters as they stand in the file, also of triggers that are wrong elsewhere."""
    names = [*_section(tree, "sources"), *_section(tree, "schedules")]
    for name, entry in _section(tree, "triggers").items():
        fields = entry if isinstance(entry, dict) else {}
        yield from _filter_checks(fields, ("triggers", name), names)
        parts = fields.get("join")
        for part, inner in parts.items() if isinstance(parts, dict) else ():
            if isinstance(inner, dict):
                yield from _filter_checks(inner, ("triggers", name, "join", str(part)), names)


def _filter_checks(fields: dict[str, Any], place: tuple[str, ...], names: list[str]) -> Iterator[_Finding]:
    """Check one filter: that of a trigger, or that of one name of a join."""
    on, when, key = fields.get("on"), fields.get("when"), fields.get("key")
    for source in on if isinstance(on, list) else [on]:
        if isinstance(source, str) and not fnmatch.filter(names, source):
            none = "no source or schedule matches" if set(source) & set("*?") else "there is no source or schedule"
            yield (*place, "on"), f"{none} {source!r}", _did_you_mean(source, names)
    if isinstance(when, str):
        yield from _compiles(EVENT, when, (*place, "when"), {"BOOL", "DYN"})
    if "join" in place and isinstance(key, str):
        yield from _compiles(EVENT, key, (*place, "key"), {"BOOL", "DYN", "STRING", "INT", "UINT", "DOUBLE"}, _KEY)


def _notified(config: HoldfastConfig) -> Iterator[_Finding]:
    for name, escalation in config.escalations.items():
        for number, tier in enumerate(escalation.tiers):
            for one in tier.notify:
                if one not in config.notifiers:
                    hint = _did_you_mean(one, list(config.notifiers)) or "declare it under `notifiers`"
                    yield ("escalations", name, "tiers", number, "notify"), f"there is no notifier {one!r}", hint
    for name, trigger in config.triggers.items():
        wanted = trigger.dead_letter.escalation
        if wanted is not None and wanted not in config.escalations:
            hint = _did_you_mean(wanted, list(config.escalations)) or "declare it under `escalations`"
            yield ("triggers", name, "dead_letter", "escalation"), f"there is no escalation {wanted!r}", hint


def _routes(config: HoldfastConfig) -> Iterator[_Finding]:
    seen: dict[str, str] = {}
    for name, source in config.sources.items():
        route = "/".join("{}" if "{" in part else part for part in (source.path or f"/hooks/{name}").split("/"))
        if route in seen:
            yield ("sources", name, "path"), f"is the same route as that of {seen[route]!r}", "give one another path"
        seen[route] = name


def _expressions(config: HoldfastConfig) -> Iterator[_Finding]:
    for name, source in config.sources.items():
        for part in ("id", "type", "subject"):
            text = getattr(source.event, part)
            if text is not None:
                yield from _compiles(EVENT, text, ("sources", name, "event", part))
    for name, trigger in config.triggers.items():
        yield from _of_pressure(name, trigger)
    yield from _of_schedules(config)


def _of_schedules(config: HoldfastConfig) -> Iterator[_Finding]:
    for name, schedule in config.schedules.items():
        if schedule.event.data is not None:
            yield from _compiles(TICK, schedule.event.data, ("schedules", name, "event", "data"))
        if schedule.when is not None:
            yield from _compiles(TICK, schedule.when, ("schedules", name, "when"), {"BOOL", "DYN"})
        if schedule.stop_when is not None:
            yield from _compiles(TICKS, schedule.stop_when, ("schedules", name, "stop_when"), {"BOOL", "DYN"})


_BOOLEAN = ("it must be true or false", "compare it with something")
_KEY = ("it must be text or a number", "name the field that the events have in common")


def _of_pressure(name: str, trigger: TriggerConfig) -> Iterator[_Finding]:
    for part in ("key", "not_before"):
        if (text := getattr(trigger, part)) is not None:
            yield from _compiles(EVENT, text, ("triggers", name, part))


def _compiles(
    language: Any,
    text: str,
    path: tuple[int | str, ...],
    allowed: set[str] | None = None,
    wanted: tuple[str, str] = _BOOLEAN,
) -> Iterator[_Finding]:
    try:
        returns = language.compile(text).returns
    except RejectedInput as error:
        yield path, error.message, ""
        return
    if allowed is not None and returns not in allowed:
        yield path, f"is {returns.lower()}, {wanted[0]}", wanted[1]
