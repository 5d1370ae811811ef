"""Anything at all, as hypothesis makes it, and how each parser that needs more than one call is given it."""

import fcntl
import hmac
import json
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from temporalio.api.common.v1 import Payload
from temporalio.common import RawValue

from activities import redrive
from gateway import cloudevents as events_in
from gateway import handshakes, outbox_file
from gateway.requests import AuthenticRequest, RawRequest
from gateway.routes import Routes
from holdfast.bus import consume
from holdfast.bus.streams import DISPATCHER
from holdfast.cli import verify
from holdfast.contracts import dead_letter, delivery
from holdfast.domain import (
    handshakes as handshake_tables,
)
from holdfast.domain import (
    jwts,
    signing_keys,
    sources,
)
from holdfast.domain.deadletters import Stage
from holdfast.domain.expressions import EVENT
from holdfast.domain.presets import PRESETS
from holdfast.domain.schemes import JwtRules, SignedRequest
from holdfast.domain.signatures import Verifier
from holdfast.domain.signing_keys import Key
from holdfast.embedded import credentials
from holdfast.settings import runtime
from holdfast.settings.file import load_config
from holdfast.settings.secrets import Secrets
from tests.senders import send
from workers import escalate
from workflows import inputs

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

text = st.text(max_size=60) | st.text("0123456789.:-+TZz/smhdw=&%,;_ ²٣\ud800", max_size=30)
raw = st.binary(max_size=200)
headers = st.lists(
    st.tuples(
        st.sampled_from(
            [
                "content-type",
                "content-length",
                "ce-id",
                "ce-source",
                "ce-type",
                "ce-specversion",
                "ce-time",
                "ce-x",
                "traceparent",
                "tracestate",
                "content-encoding",
                "host",
                "transfer-encoding",
                "x-hook-secret",
                "x-hub-signature-256",
                "authorization",
                "stripe-signature",
                "webhook-id",
                "aeg-event-type",
            ]
        ).map(str.encode),
        raw | st.sampled_from([b"application/json", b"application/cloudevents+json", b"1.0", b"t=1,v1=a", b"Bearer a"]),
    ),
    max_size=8,
)
data = st.recursive(
    st.none() | st.booleans() | st.integers() | st.just(10**400) | st.floats() | text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4),
    max_leaves=12,
)


scalars = data | text | st.just("9" * 400 + "d")


def dumped(value: Any) -> bytes:
    """Write as JSON, also what Python will not."""
    try:
        return json.dumps(value).encode()
    except ValueError:  # digits that Python does not write
        return b"1" * 5_000


deep = st.sampled_from([b"[" * 100_000, b'{"a":' * 100_000, b"[" * 3_000 + b"]" * 3_000, b"1" * 5_000])
documents = data.map(dumped) | raw | deep


def records(*names: str) -> st.SearchStrategy[Any]:
    """Objects with these keys, some left out, each holding anything."""
    return st.fixed_dictionaries({}, optional=dict.fromkeys(names, data | text))


def mostly(given: st.SearchStrategy[Any]) -> st.SearchStrategy[bytes]:
    """Documents that are nearly what is wanted."""
    return given.map(dumped) | documents


requests = st.builds(
    lambda found, body, method, query: RawRequest(
        SignedRequest(tuple(found), body, method, "/hooks/a", ("https://a.test/hooks/a?" + query,), query),
        {},
        query.encode("utf-8", "surrogatepass"),
        NOW,
    ),
    headers,
    mostly(records("type", "challenge", "event", "payload", "data", "Type", "SubscribeURL", "id", "source")),
    st.sampled_from(["POST", "GET", "OPTIONS"]),
    st.text("abc=&%+.;0123456789/hubchallengcrc_token", max_size=40),
)


def verified_by_all(request: RawRequest) -> None:
    """Verify a request as that of every sender."""
    for name in PRESETS:
        sent = send(name)
        for secret in sent.secrets[:1]:
            verifier = Verifier(sent.scheme, [secret], timedelta(minutes=5))
            verifier.key_address(request.signed)
            verifier.verify(request.signed, NOW, sent.certificate)


class _Nobody:
    """Asks nobody to confirm."""

    def __call__(self, source: str, url: str) -> None:
        """Ask nobody."""

    async def close(self) -> None:
        """Do nothing."""


def greeted(request: RawRequest) -> None:
    """Ask every handshake, before and behind the proof."""
    known = handshake_tables.handshakes_of
    every = [shake for name in (*PRESETS, "okta", "msgraph", "cloudevents") for shake in known(name)]
    greeter = handshakes.greeter(every, ((b"k", Verifier(PRESETS["zoom"].scheme, ["k"], timedelta(days=1))),), "t")
    for proven in (False, True):
        greeter.greet(request, "a", _Nobody(), proven=proven)


def unwrapped(request: RawRequest) -> None:
    """Take a request as a CloudEvent, where it may be, may not be and must be one."""
    for acceptance in ("off", "optional", "required"):
        events_in.unwrap(AuthenticRequest(request, None), frozenset({b"content-type"}), acceptance)


def judged_token(claims: dict[str, Any]) -> None:
    """Judge claims in a token that is signed rightly, and in what is no token."""
    key = Key(secret=b"k")
    rules = JwtRules(algorithms=("HS256",), issuers=("me",), audiences=("you",))
    request = SignedRequest((), b"")
    pieces = [jwts._write(dumped(piece)) for piece in ({"alg": "HS256"}, {"iss": "me", "aud": "you", **claims})]
    signed = b".".join(pieces)
    token = signed + b"." + jwts._write(hmac.digest(b"k", signed, "sha256"))
    moment = jwts.Moment(NOW, timedelta(minutes=1))
    for one in (token, dumped(claims), b".".join([dumped(claims)] * 3)):
        said = jwts.judge(one, [key], rules, request, moment)
        said.encode()  # it names an event, so it must be text that can be written


def configured(content: bytes) -> None:
    """Read a configuration file."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "holdfast.yaml"
        path.write_bytes(content)
        load_config(path)


def opened_outbox(content: bytes) -> None:
    """Open a file as an outbox."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "o.sqlite"
        path.write_bytes(content)
        file = outbox_file.OutboxFile.open(path, 100_000)
        file.oldest(5)
        file.close()


def read_secret(content: bytes) -> None:
    """Read a secret out of a file."""
    with tempfile.TemporaryDirectory() as directory:
        (Path(directory) / "s").write_bytes(content)
        Secrets(Path(directory)).resolve("file:s")


def read_keys_of_all(secret: Any) -> None:
    """Read a secret as the key of every sender."""
    for name in PRESETS:
        signing_keys.read_keys(send(name).scheme, secret)


def evaluated(expression: str) -> None:
    """Compile and evaluate an expression."""
    EVENT.compile(expression).evaluate(EVENT.bind(event={"data": {"a": [1, None, "x"]}}))


def acked(subject: str) -> None:
    """Take a message by the address that the server wrote."""
    frame = type("Frame", (), {"reply": subject, "subject": "events.a.000", "data": b""})()
    consume.Consumer(None, DISPATCHER, handle=None, slots=None)._message(frame)  # type: ignore[arg-type]


def given_to_a_workflow(given: tuple[bytes, bytes]) -> None:
    """Read a payload as the input of a workflow."""
    payload = Payload(metadata={"encoding": given[0]}, data=given[1])
    inputs.read(delivery.DeliveryInput, RawValue(payload))


def escalated(content: bytes) -> None:
    """Read a message of DEAD_LETTERS."""
    message = consume.Message("DEAD_LETTERS", 1, 1, 1, "dead-letters.a.000", content, None, "", None)  # type: ignore[arg-type]
    escalate.Escalator._read(None, message)  # type: ignore[arg-type]


def verified_file(content: bytes) -> None:
    """Read a file of captured requests."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "captured.json"
        path.write_bytes(content)
        for _ in verify._entries(verify._load(path)):
            pass


def redriven(given: str) -> None:
    """Take the bytes out of a dead letter."""
    record = dead_letter.DeadLetterRecord(
        id="a", stage=Stage.DECODE, code="envelope.invalid", message="", at=NOW, raw_base64=given
    )
    redrive._raw(record, None)


def read_stack(content: bytes) -> None:
    """Read where a running stack is."""
    with tempfile.TemporaryDirectory() as directory, (Path(directory) / runtime.LOCK).open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        (Path(directory) / runtime.FILE).write_bytes(content)
        runtime.read_runtime(Path(directory))


def read_credentials(content: bytes) -> None:
    """Read the embedded stack's credentials."""
    with tempfile.TemporaryDirectory() as directory:
        (Path(directory) / credentials.FILE).write_bytes(content)
        credentials.load_or_create(Path(directory))


def found_route(path: bytes) -> None:
    """Look a path up."""
    config = sources.SourceConfig(dangerous_unverified=True, path="/hooks/{a}/{b}")
    Routes({"a": config}, Secrets(Path())).find(b"/hooks/" + path)


times = st.integers() | st.floats() | st.just(10**400) | st.booleans() | text
claims = st.fixed_dictionaries(
    {}, optional={"exp": times, "nbf": times, "iat": times, "jti": text, "iss": data, "aud": data, "crit": data}
)
pem = st.sampled_from(["-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----", "whsec_", "whsec_A", "whpk_AAAA"])
