"""Sources compiled for the hot path, once at start: route, verifier, kept headers, expressions.

Flow: holdfast.yaml → **routes** → pipeline. Everything that can be wrong with a source's secrets is found here.
"""

import pathlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from urllib.parse import unquote

from gateway.cloudevents import Acceptance
from gateway.handshakes import Greeter, greeter
from gateway.problems import Answer
from holdfast.domain.answers import RespondConfig
from holdfast.domain.clients import Proxies
from holdfast.domain.expressions import EVENT, Expression
from holdfast.domain.handshakes import handshakes_of
from holdfast.domain.json_scan import Path
from holdfast.domain.needs import field_path, needs
from holdfast.domain.presets import Preset, preset_of, verifier_of
from holdfast.domain.schemes import KeySet
from holdfast.domain.signatures import Verifier
from holdfast.domain.sources import DEFAULT_HEADERS, MAX_WAIT, EventConfig, SourceConfig
from holdfast.errors import ErrorCode, RejectedInput
from holdfast.settings.secrets import Secrets

_SECRET_HEADERS = {"authorization", "proxy-authorization", "cookie", "set-cookie"}
_UNSIGNED = {
    "path": {"path", "url"},
    "query": {"url", "query"},
    **{name: set[str]() for name in ("headers", "cloudevent", "extensions", "type", "subject")},
}
"""Variables of an expression that are trusted only where the signature covers one of these parts.

The attributes of a CloudEvent may come in headers."""
_TEXT = re.compile(r"\"[^\"]*\"|'[^']*'")
_USE = re.compile(r"(?<![\w.])event\b\s*(?:\.\s*([A-Za-z_]\w*))?")


@dataclass(frozen=True, slots=True)
class Route:
    """One source, ready to be asked."""

    source: str
    path: str  # as configured, with its {parts}
    path_names: tuple[str, ...]
    methods: frozenset[str]
    max_body: int  # bytes
    preset: Preset | None  # None: dangerously unverified
    verifier: Verifier | None
    kept: frozenset[bytes]  # request headers, lower case
    id: Expression | None
    id_is_signed: bool  # whether `id` reads only what the signature covers
    type: Expression | None
    subject: Expression | None
    status: int  # of an accepted event
    respond: Answer | None  # the fixed answer of the source, without Location
    cloudevents: Acceptance
    greeter: Greeter
    needs: frozenset[Path]  # what is read of the data of a large body
    headers: tuple[tuple[bytes, bytes], ...] = ()  # the source's own, of every answer to an accepted event
    wait: timedelta = timedelta(0)  # the longest that `Prefer: wait` is obeyed

    @property
    def reachable_by(self) -> frozenset[str]:
        """Methods that carry events, and those that only ask."""
        return self.methods | self.greeter.methods

    @property
    def has_expressions(self) -> bool:
        """Whether any expression must be evaluated."""
        return self.id is not None or self.type is not None or self.subject is not None


class Routes:
    """Finds the source of a path: fixed paths by look-up, those with `{parts}` in the order of the file."""

    def __init__(self, sources: Mapping[str, SourceConfig], secrets: Secrets, proxies: Proxies | None = None) -> None:
        self._fixed: dict[bytes, Route] = {}
        self._patterns: list[tuple[re.Pattern[str], Route]] = []
        for name, config in sources.items():
            route = compile_route(name, config, secrets, proxies)
            if route.path_names:
                self._patterns.append((_pattern(name, route.path), route))
            else:
                self._fixed[route.path.encode()] = route

    def replace(self, other: "Routes") -> None:
        """Become `other`, in one step; requests under way keep the route they found."""
        self._fixed, self._patterns = other._fixed, other._patterns  # noqa: SLF001 - of our own kind

    def find(self, raw_path: bytes) -> tuple[Route, dict[str, str]] | None:
        """Return the route and the decoded `{parts}` of a path as it stood in the request line."""
        route = self._fixed.get(raw_path)
        if route is not None:
            return route, {}
        if self._patterns:
            text = raw_path.decode("latin-1")
            for pattern, candidate in self._patterns:
                if match := pattern.fullmatch(text):
                    return candidate, {key: unquote(value) for key, value in match.groupdict().items()}
        return None

    @property
    def key_sets(self) -> frozenset[KeySet]:
        """Every key set that a source needs fetched."""
        wanted = (route.verifier.fetches for route in self if route.verifier is not None)
        return frozenset(one for one in wanted if one is not None)

    def __iter__(self) -> Iterator[Route]:
        yield from self._fixed.values()
        yield from (route for _, route in self._patterns)


def method_not_allowed(route: Route) -> RejectedInput:
    """405; the answer's Allow names the methods that carry events."""
    text = f"Use {' or '.join(sorted(route.methods))}."
    return RejectedInput(ErrorCode.REQUEST_METHOD_NOT_ALLOWED, text)


def compile_route(name: str, config: SourceConfig, secrets: Secrets, proxies: Proxies | None = None) -> Route:
    """Compile one source. Raises RejectedInput `config.invalid` naming the source."""
    preset = preset_of(config.verify) if config.verify is not None else None
    signed: frozenset[str] = preset.scheme.signed_parts if preset is not None else frozenset()
    event, respond = config.event, _respond(config, preset)
    path = config.path or f"/hooks/{name}"
    return Route(
        source=name,
        path=path,
        path_names=tuple(_pattern(name, path).groupindex),
        methods=frozenset(config.methods),
        max_body=int(config.max_body),
        preset=preset,
        verifier=_verifier(name, config, secrets, proxies),
        kept=_kept(config, preset),
        id=_expression(event, "id"),
        id_is_signed=event.id is not None
        and (preset is None or preset.scheme.covers_body)
        and reads_only_signed(event.id, signed),
        type=_expression(event, "type"),
        subject=_expression(event, "subject"),
        status=respond.status,
        respond=_fixed_answer(respond),
        cloudevents=_acceptance(config),
        greeter=_greeter(name, config, secrets),
        needs=_needs(event, preset),
        headers=respond.sent_headers,
        wait=_longest_wait(config),
    )


def _needs(event: EventConfig, preset: Preset | None) -> frozenset[Path]:
    """Return what identity, type and subject read of the data: the expressions', and the preset's own."""
    own = (preset.id_field, preset.type_field, preset.action_field, preset.subject_field) if preset is not None else ()
    return needs(text for text in (event.id, event.type, event.subject) if text) | {
        field_path(field) for field in own if field
    }


def reads_only_signed(expression: str, signed: frozenset[str]) -> bool:
    """Whether a CEL expression touches nothing of the request but its body and what the signature covers.

    Decided from the text, and cautiously: `event` used in any other form than `event.field` counts as unsigned.
    """
    code = expression if "\\" in expression else _TEXT.sub('""', expression)
    for use in _USE.finditer(code):
        field = use.group(1)
        if field is None:
            return False
        if field in _UNSIGNED and not _UNSIGNED[field] & signed:
            return False
    return True


def _verifier(name: str, config: SourceConfig, secrets: Secrets, proxies: Proxies | None) -> Verifier | None:
    if config.verify is None:
        return None
    try:
        values = [secrets.resolve(reference).get_secret_value() for reference in config.verify.secrets]
        return verifier_of(config.verify, values, proxies)
    except RejectedInput as error:
        raise RejectedInput(ErrorCode.CONFIG_INVALID, f"sources.{name}.verify.secrets: {error.message}") from error


def _acceptance(config: SourceConfig) -> Acceptance:
    preset: str | None = config.verify.preset if config.verify is not None else None
    return config.event.cloudevents or ("required" if preset == "cloudevents" else "off")


def _greeter(name: str, config: SourceConfig, secrets: Secrets) -> Greeter:
    """Compile the handshakes of a source: of its provider, and OPTIONS where it takes CloudEvents."""
    wanted = config.handshake or (config.verify.preset if config.verify is not None else None)
    handshakes = handshakes_of(wanted)
    if _acceptance(config) != "off" and config.handshake is None and wanted != "cloudevents":
        handshakes += handshakes_of("cloudevents")
    if not handshakes:
        return Greeter()
    keys: list[tuple[bytes, Verifier]] = []
    token = None
    try:
        if config.verify is not None and any(handshake.hashes for handshake in handshakes):
            for reference in config.verify.secrets:
                value = secrets.resolve(reference).get_secret_value()
                keys.append((value.encode(), verifier_of(config.verify, [value])))
        if config.handshake_token is not None:
            token = secrets.resolve(config.handshake_token).get_secret_value()
    except RejectedInput as error:
        raise RejectedInput(ErrorCode.CONFIG_INVALID, f"sources.{name}.handshake: {error.message}") from error
    return greeter(handshakes, tuple(keys), token)


def _kept(config: SourceConfig, preset: Preset | None) -> frozenset[bytes]:
    names = {*DEFAULT_HEADERS, *(name.lower() for name in config.headers)}
    if preset is not None:
        names |= {*preset.keep}
        names -= preset.scheme.credentials("header")
    return frozenset(name.encode() for name in names if keepable(name))


def keepable(name: str) -> bool:
    """Whether a header (lower case) may be stored or shown to expressions: signatures and credentials never are."""
    return name not in _SECRET_HEADERS and "signature" not in name


def _expression(event: EventConfig, field: str) -> Expression | None:
    text: str | None = getattr(event, field)
    return EVENT.compile(text) if text is not None else None


def _respond(config: SourceConfig, preset: Preset | None) -> RespondConfig:
    """Return what the source says of its answers, else what its sender insists on."""
    if preset is None or config.respond.model_fields_set - {"headers"}:
        return config.respond
    return RespondConfig(status=preset.status, body=preset.reply, headers=config.respond.headers)


def _longest_wait(config: SourceConfig) -> timedelta:
    """Return what is configured; by default only those who prove who they are may hold a connection."""
    if config.wait is not None:
        return config.wait
    return timedelta(0) if config.dangerous_unverified else MAX_WAIT


def _fixed_answer(respond: RespondConfig) -> Answer | None:
    if respond.body is None and respond.status not in {204, 205}:
        return None
    body = b"" if respond.status in {204, 205} else (respond.body or "").encode()
    headers = list(respond.sent_headers)
    if body and all(name != b"content-type" for name, _ in headers):
        headers.append((b"content-type", b"text/plain; charset=utf-8"))
    if respond.status != 204:
        headers.append((b"content-length", str(len(body)).encode()))
    return Answer(respond.status, headers, body)


def _pattern(name: str, path: str) -> re.Pattern[str]:
    """`/hooks/orders/{tenant}` as a pattern; a part never spans a slash."""
    pieces = re.split(r"\{([A-Za-z_][A-Za-z0-9_]*)\}", path)
    text = "".join(f"(?P<{piece}>[^/]+)" if index % 2 else re.escape(piece) for index, piece in enumerate(pieces))
    if any(brace in piece for piece in pieces[::2] for brace in "{}"):
        raise RejectedInput(ErrorCode.CONFIG_INVALID, f"sources.{name}.path: write parts as {{name}}")
    try:
        return re.compile(text)
    except re.error as error:
        raise RejectedInput(ErrorCode.CONFIG_INVALID, f"sources.{name}.path: a {{name}} comes twice") from error


def offline_route(name: str, config: SourceConfig) -> Route:
    """Compile one source without its secrets: it names and describes events, and can verify nothing."""
    preset = preset_of(config.verify) if config.verify is not None else None
    signed: frozenset[str] = preset.scheme.signed_parts if preset is not None else frozenset()
    bare = config.model_copy(update={"verify": None, "handshake": "none"})
    return replace(
        compile_route(name, bare, Secrets(pathlib.Path())),
        preset=preset,
        kept=_kept(config, preset),
        id_is_signed=config.event.id is not None
        and (preset is None or preset.scheme.covers_body)
        and reads_only_signed(config.event.id, signed),
        cloudevents=_acceptance(config),
    )
