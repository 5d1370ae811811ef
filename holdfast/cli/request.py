"""A webhook as its sender would make it: signed by the scheme of the source, with the tables the gateway verifies with.

Flow: configuration → **request** → `holdfast send` posts it, `holdfast up` prints it as a curl line.
"""

import json
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlencode

from holdfast.cli.cloudevent import Mode, as_cloudevent, attributes_of
from holdfast.domain.presets import Preset, preset_of, verifier_of
from holdfast.domain.schemes import Place, SignedRequest
from holdfast.domain.sources import SourceConfig
from holdfast.errors import ErrorCode, RejectedInput
from holdfast.settings.secrets import Secrets

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
_PARAMETER = re.compile(r"\{([^}]+)\}")


@dataclass(frozen=True, slots=True)
class Wish:
    """What the event should be; what is left out is made up."""

    type: str | None = None
    id: str | None = None
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    path: Mapping[str, str] = field(default_factory=dict)  # values for {name} parts of the source's route
    cloudevent: Mode | None = None  # as which the body is sent


@dataclass(frozen=True, slots=True)
class OutgoingRequest:
    """Ready to be sent. The headers may hold a bearer token: not for logs."""

    method: str
    url: str
    headers: dict[str, str] = field(repr=False)
    body: bytes


def find_source(sources: Mapping[str, SourceConfig], name: str) -> SourceConfig:
    """Return the source of that name. Raises RejectedInput `source.unknown` that names those there are."""
    if name not in sources:
        known = ", ".join(sources) or "none"
        raise RejectedInput(ErrorCode.SOURCE_UNKNOWN, f"there is no source {name!r}; the configuration has: {known}")
    return sources[name]


@dataclass(frozen=True, slots=True)
class Sender:
    """Somebody who sends to one source of a gateway, and knows its secret."""

    name: str  # of the source
    source: SourceConfig
    gateway: str  # address, like http://127.0.0.1:8080
    secrets: Secrets

    @property
    def preset(self) -> Preset | None:
        """How this sender signs; None for one that need not."""
        return preset_of(self.source.verify) if self.source.verify else None

    def build(self, wish: Wish, now: datetime) -> OutgoingRequest:
        """Build and sign. Raises RejectedInput `config.invalid` where a secret cannot be read or cannot sign."""
        preset, verify, method = self.preset, self.source.verify, self.source.methods[0]
        chosen = wish.id or str(uuid.uuid4())
        form = preset is not None and "{form}" in preset.scheme.signed
        headers = {"content-type": FORM if form else JSON, "user-agent": "holdfast-send"}
        if preset is not None and preset.type_header:
            headers[preset.type_header] = wish.type or "push"
        if preset is not None and preset.id_header:
            headers[preset.id_header] = chosen
        headers |= {key.lower(): value for key, value in wish.headers.items()}
        body = wish.body if wish.body is not None else sample_body(preset, wish.type, chosen, now)
        if wish.cloudevent is not None:
            attributes = attributes_of(chosen, wish.type, now)
            added, body = as_cloudevent(wish.cloudevent, body, headers["content-type"], attributes)
            headers |= added
        url = self.gateway.rstrip("/") + self._route(wish.path)
        if verify is not None and preset is not None and preset.scheme.proof != "address":
            if not verify.secrets or preset.scheme.proof == "certificate":
                raise RejectedInput(ErrorCode.CONFIG_INVALID, f"only {verify.preset} itself can sign its messages")
            key = self.secrets.resolve(verify.secrets[0]).get_secret_value()
            place = Place.of(preset.scheme.headers[0].signature)
            if place.kind == "query":
                return OutgoingRequest(method, f"{url}?{urlencode({place.name: key})}", headers, body)
            headers |= verifier_of(verify, [key]).sign(SignedRequest.of(headers, body, method, url), now, chosen)
        return OutgoingRequest(method, url, headers, body)

    def _route(self, given: Mapping[str, str]) -> str:
        route = self.source.path or f"/hooks/{self.name}"
        return _PARAMETER.sub(lambda match: quote(given.get(match[1], "sample"), safe=""), route)


def takes_id(source: SourceConfig) -> bool:
    """Whether the sender of this source names the event itself, so that an id can be wished for."""
    if source.verify is None or source.event.id is not None:
        return False
    preset = preset_of(source.verify)
    return preset.id_header is not None or any(names.id for names in preset.scheme.headers[:1])


def sample_body(preset: Preset | None, event_type: str | None, event_id: str, now: datetime) -> bytes:
    """Return a body to try a source with, shaped as its sender would."""
    if preset is not None and "{form}" in preset.scheme.signed:
        return urlencode({"type": event_type or "test.event", "id": event_id}).encode()
    sample: dict[str, Any]
    if preset is not None and preset.type_header == "x-github-event":
        sample = {
            "ref": "refs/heads/main",
            "after": event_id.replace("-", "") + "00000000",
            "repository": {"full_name": "octo/hello"},
            "pusher": {"name": "octo"},
        }
    else:
        sample = {"type": event_type or "test.event", "data": {"id": event_id}}
        kind, _, name = ((preset and preset.scheme.timestamp_place) or "").partition(":")
        if kind == "json" and "." not in name:
            sample[name] = int(now.timestamp() * 1_000)
    return json.dumps(sample).encode()
