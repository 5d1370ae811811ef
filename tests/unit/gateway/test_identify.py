from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway.identify import identify
from gateway.normalise import normalise
from gateway.requests import AuthenticRequest, RawRequest
from gateway.routes import Route, compile_route, reads_only_signed
from holdfast import ids
from holdfast.domain.events import Envelope, decode_envelope
from holdfast.domain.schemes import SignedRequest
from holdfast.domain.sources import SourceConfig
from holdfast.errors import ErrorCode, RejectedInput
from holdfast.settings.secrets import Secrets

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
JSON = {"Content-Type": "application/json"}
SECRETS = Secrets(Path(), {"S": "c2VjcmV0", "T": "text"})
EC_KEY = (  # the public key of the vectors that SendGrid publishes
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE83T4O/n84iotIvIW4mdBgQ/7dAfSmpqIM8kF9mN1flpVKS3GRqe62gw+2fNNRaINXvVpiglSI8eNEc6w"
    "EA3F+g=="
)
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def route_of(preset: str | None = None, **more: object) -> Route:
    """Compile a source."""
    verify = {"preset": preset, "secrets": ["env:S"]} if preset else None
    config = SourceConfig.model_validate({"verify": verify, "dangerous_unverified": verify is None, **more})
    return compile_route("src", config, SECRETS)


def envelope_of(route: Route, headers: dict[str, str], body: bytes, signed_id: str | None = None) -> Envelope:
    """Run normalise and identify, and the record through its encoding, which validates all of it."""
    raw = RawRequest(SignedRequest.of(headers, body), {"tenant": "a"}, b"q=1", NOW)
    normal = normalise(AuthenticRequest(raw, signed_id), route.kept)
    return decode_envelope(identify(normal, route, TRACE, None).encode())


def test_the_id_of_github_is_bound_to_the_body() -> None:
    """The delivery header is unsigned, so the same header with another body is another event."""
    route = route_of("github")
    headers = {**JSON, "X-GitHub-Delivery": "d-1", "X-GitHub-Event": "issues"}
    first = envelope_of(route, headers, b'{"repository": {"full_name": "acme/app"}}')
    second = envelope_of(route, headers, b"{}")
    assert first.id == f"d-1.{first.body_sha256[:32]}"
    assert second.id.startswith("d-1.")
    assert first.id != second.id
    assert (first.type, first.subject, second.subject) == ("issues", "acme/app", None)


def test_without_a_delivery_header_the_content_is_the_identity() -> None:
    """Neither a missing nor a doubled id header is trusted; the hash of source and body stays."""
    route = route_of("github")
    alone = envelope_of(route, JSON, b"{}")
    assert alone.id == ids.fingerprint("src", alone.body_sha256)
    assert alone.type == "webhook.received"


def test_a_signed_id_is_taken_as_it_is() -> None:
    """Standard Webhooks: the id is signed, the type stands in the body."""
    envelope = envelope_of(route_of("standard-webhooks"), JSON, b'{"type": "invoice.paid"}', "msg_1")
    assert (envelope.id, envelope.type) == ("msg_1", "invoice.paid")
    assert envelope_of(route_of("standard-webhooks"), JSON, b'{"type": 7}', "msg_1").type == "webhook.received"


def test_what_the_configuration_says_comes_first() -> None:
    """CEL for id, type and subject replaces what the preset would do."""
    event = {"id": "event.data.id", "type": '"x." + event.data.kind', "subject": "event.path.tenant"}
    envelope = envelope_of(route_of("github", event=event), JSON, b'{"id": 12, "kind": "y"}')
    assert (envelope.id, envelope.type, envelope.subject) == ("12", "x.y", "a")


def test_an_unsigned_part_of_the_id_brings_the_hash_with_it() -> None:
    """An id from a header, the path or the query cannot suppress another event."""
    for text in ('event.headers["x-id"]', "event.path.tenant", "event.query.q"):
        envelope = envelope_of(route_of("github", event={"id": text}), {**JSON, "X-Id": "7"}, b"{}")
        assert envelope.id.endswith(f".{envelope.body_sha256[:32]}"), text


@pytest.mark.parametrize(
    ("text", "signed", "expected"),
    [
        ("event.data.id", set(), True),
        ("event.data.headers.path", set(), True),
        ("event.data.event.id", set(), True),
        ('"event.headers" + event.data.id', set(), True),
        ('event.data["event"]', set(), True),
        ("event.headers.x", set(), False),
        ("event . headers.x", set(), False),
        ('event["headers"].x', set(), False),
        ("dyn(event).headers.x", set(), False),
        (r'"\"" + event.headers.x + "\""', set(), False),
        ("event.path.tenant", {"body", "path"}, True),
        ("event.query.q", {"body", "path"}, False),
        ("event.query.q", {"body", "url"}, True),
    ],
)
def test_what_an_expression_reads_is_judged_cautiously(text: str, signed: set[str], expected: bool) -> None:
    """Only material that the signature certainly covers counts as signed."""
    assert reads_only_signed(text, frozenset(signed)) is expected


@pytest.mark.parametrize(
    "body", [b"{}", b'{"id": ""}', b'{"id": true}', b'{"id": null}', b'{"id": {}}', b'{"id": 1.5}']
)
def test_an_event_without_the_configured_id_is_refused(body: bytes) -> None:
    """No identity is guessed where the configuration names one."""
    with pytest.raises(RejectedInput) as caught:
        envelope_of(route_of("github", event={"id": "event.data.id"}), JSON, body)
    assert caught.value.code is ErrorCode.IDENTITY_FAILED


def test_ids_stay_printable_bounded_and_apart() -> None:
    """What could not stand in a log or an URL is replaced by a marked hash, and nobody can send such a mark."""
    route = route_of("standard-webhooks")
    odd = ["a\nb", "a" * 300, "a\x00", "é", "~" + "0" * 32, "a\u202eb"]
    seen = {envelope_of(route, JSON, b"{}", value).id for value in odd}
    assert len(seen) == len(odd)
    assert all(len(value) == 33 and value.startswith("~") for value in seen)
    assert envelope_of(route, JSON, b"{}", "a b/c").id == "a b/c"


def test_descriptions_that_cannot_be_made_do_not_cost_the_event() -> None:
    """A type or subject that fails, is no text, or is too long is left out; the event stays."""
    for text in ("event.data.nothing", "event.data.list", "event.data.long", "event.data.n / 0"):
        event = {"type": text, "subject": text}
        envelope = envelope_of(
            route_of("github", event=event), JSON, b'{"list": [], "n": 1, "long": "%s"}' % (b"x" * 2000)
        )
        assert (envelope.type, envelope.subject) == ("webhook.received", None), text


def test_only_allowed_headers_are_kept() -> None:
    """The default ones, the preset's and the source's; never a signature or a credential."""
    route = route_of("github", headers=["X-Mine", "X-Hub-Signature-256", "X-Hub-Signature"])
    sent = {"X-Mine": "1", "X-Hub-Signature-256": "s", "X-Hub-Signature": "s", "Authorization": "a", "Cookie": "c"}
    sent |= {"X-GitHub-Event": "push", "User-Agent": "GitHub", "X-Other": "o", "Nats-Rollup": "all"}
    kept = envelope_of(route, sent, b"x").headers
    assert kept == {"x-mine": "1", "x-github-event": "push", "user-agent": "GitHub"}


def test_a_wrong_secret_is_an_error_of_the_start_that_names_the_source() -> None:
    """A secret that is missing or has the wrong form is found before any event comes."""
    for preset, reference in (("github", "env:MISSING"), ("standard-webhooks", "env:T")):
        config = SourceConfig.model_validate({"verify": {"preset": preset, "secrets": [reference]}})
        secrets = Secrets(Path(), {"T": "no base64!"})
        with pytest.raises(RejectedInput, match=r"sources\.src\.verify\.secrets"):
            compile_route("src", config, secrets)


FORM = {"Content-Type": "application/x-www-form-urlencoded"}
NAMED = [
    ("stripe", JSON, b'{"id": "evt_1", "type": "a.b", "data": {"object": {"id": "in_1"}}}', "evt_1 a.b in_1"),
    ("linear", JSON, b'{"type": "Issue", "action": "update", "data": {"id": "u"}}', "# Issue.update u"),
    ("hubspot-v3", JSON, b'[{"subscriptionType": "x", "objectId": 7}, {"subscriptionType": "x"}]', "# x None"),
    ("sendgrid", JSON, b'[{"event": "open"}, {"event": "click"}]', "# webhook.received None"),
    ("slack", JSON, b'{"event_id": "Ev1", "team_id": "T1", "event": {"type": "message"}}', "Ev1 message T1"),
    ("twilio", FORM, b"SmsStatus=sent&AccountSid=AC1", "# sent AC1"),
    ("intercom", JSON, b'{"id": "n1", "topic": "ping", "data": {"item": {"id": 5}}}', "n1 ping 5"),
    ("shopify", {**JSON, "X-Shopify-Topic": "orders/paid", "X-Shopify-Webhook-Id": "w"}, b"{}", "w.# orders/paid None"),
    ("jira", {"X-Atlassian-Webhook-Identifier": "i"}, b'{"webhookEvent": "e", "issue": {"key": "A-1"}}', "i.# e A-1"),
]


@pytest.mark.parametrize(("preset", "headers", "body", "expected"), NAMED)
def test_each_sender_brings_its_own_names(preset: str, headers: dict[str, str], body: bytes, expected: str) -> None:
    """Id, type and subject; # is the hash of the body, which stands where no signed id does."""
    route = compile_route(
        "src",
        SourceConfig.model_validate({"verify": {"preset": preset, "secrets": ["env:KEY"]}}),
        Secrets(Path(), {"KEY": EC_KEY if preset == "sendgrid" else "text"}),
    )
    event = envelope_of(route, headers, body)
    digest = event.body_sha256[:32]
    shown = event.id.replace(digest, "#").replace(ids.fingerprint("src", event.body_sha256), "#")
    assert f"{shown} {event.type} {event.subject}" == expected


def test_json_that_is_sent_as_text_is_data_all_the_same() -> None:
    """Amazon SNS says text/plain: its message is JSON for filters and mappings, and its bytes are as they came."""
    verify = {"preset": "aws-sns", "topics": ["arn:t"]}
    route = compile_route("src", SourceConfig.model_validate({"verify": verify}), SECRETS)
    body = b'{ "Type": "Notification", "TopicArn": "arn:t" }'
    event = envelope_of(route, {"Content-Type": "text/plain; charset=UTF-8"}, body, "m-1")
    assert (event.id, event.type, event.subject, event.raw_body) == ("m-1", "Notification", "arn:t", body)
    assert event.datacontenttype == "application/json"


def test_a_secret_in_the_query_is_not_kept() -> None:
    """The field that proves the sender is neither stored nor shown to expressions; the others are."""
    verify = {"preset": "api-key", "header": "query:q", "secrets": ["env:T"]}
    config = SourceConfig.model_validate({"verify": verify, "event": {"subject": "event.query.q"}})
    event = envelope_of(compile_route("src", config, SECRETS), JSON, b"{}")
    assert (event.query, event.subject) == ({}, None)


def test_a_sender_gets_the_answer_it_takes_for_success() -> None:
    """The preset knows it; what the source says comes first."""

    def answer(preset: str, **more: object) -> tuple[int, bytes | None]:
        verify = {"preset": preset, "secrets": ["env:T"]}
        route = compile_route(
            "src", SourceConfig.model_validate({"verify": verify, **more}), Secrets(Path(), {"T": "aa"})
        )
        return route.status, route.respond.body if route.respond is not None else None

    assert answer("github") == (202, None)
    assert answer("adyen") == (200, b"[accepted]")
    assert answer("twilio") == (204, b"")
    assert answer("mailgun") == (200, None)
    assert answer("twilio", respond={"status": 200, "body": "<Response/>"}) == (200, b"<Response/>")
