"""What an HTTP action may be given, against real servers: credentials, TLS, signatures, what answers mean."""

import asyncio
import base64
import gzip
from collections import deque
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID

from activities.http import HttpTarget, new_client
from activities.routes import checked
from activities.target import Receipt, Shipment
from holdfast.clock import SystemClock
from holdfast.domain.actions import HttpAction
from holdfast.domain.http_options import HttpOptions
from holdfast.domain.presets import STANDARD_WEBHOOKS
from holdfast.domain.schemes import SignedRequest
from holdfast.domain.signatures import Verified, Verifier
from holdfast.errors import ErrorCode, HoldfastError, PermanentFailure, TransientFailure
from holdfast.settings.secrets import Secrets
from tests.authorities import Authority
from tests.durable import event
from tests.targets import Answer, Target, server_tls, target

WHSEC = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
PRIVATE = "whsk_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="


def action(url: str, *, guarded: bool = False, **options: Any) -> HttpAction:
    """One call with options."""
    return HttpAction(
        url=url, guarded=guarded, options=HttpOptions(**options) if options else None, timeout=timedelta(seconds=5)
    )


async def send(one: HttpAction, times: int = 1, /, **env: str) -> Receipt:
    """Send with one and the same target object, one after the other; return the last receipt."""
    async with new_client() as client:
        http = HttpTarget(client, Secrets(Path(), env), SystemClock())
        cargo = Shipment("bill/shop/e-1", event("e-1", b'{"n": 1}'), None, None)
        for _ in range(times):
            receipt = await http.send(one, cargo)
    return receipt


async def fails(one: HttpAction, **env: str) -> HoldfastError:
    """Send, and return how it failed."""
    with pytest.raises(HoldfastError) as caught:
        await send(one, **env)
    return caught.value


async def test_each_way_of_showing_who_calls() -> None:
    """Basic, bearer and a header of one's own arrive as the target expects them."""
    async with target() as there:
        url = there.url()
        await send(action(url, auth={"basic": {"username": "u", "password": "env:P"}}), P="p:ä")
        await send(action(url, auth={"bearer": "env:T"}), T="t0ken")
        await send(action(url, auth={"header": {"name": "X-Api-Key", "value": "env:K", "prefix": "Key "}}), K="k3y")
    basic, bearer, header = (one.headers for one in there.requests)
    assert base64.b64decode(basic["authorization"].removeprefix("Basic ")).decode() == "u:p:ä"
    assert bearer["authorization"] == "Bearer t0ken"
    assert header["x-api-key"] == "Key k3y"


async def test_a_missing_credential_waits_for_its_repair() -> None:
    """It is tried again, because setting it mends it; and nothing is sent without it."""
    async with target() as there:
        error = await fails(action(there.url(), auth={"bearer": "env:NONE"}))
    assert isinstance(error, TransientFailure)
    assert error.code == ErrorCode.TARGET_MISCONFIGURED
    assert there.requests == []


async def test_mutual_tls_with_an_authority_of_one_s_own(tmp_path: Path) -> None:
    """With certificate and authority it arrives; without either it does not, and is tried again."""
    servers, clients = Authority("Servers"), Authority("Clients")
    cert, key = clients.issue_with_key("holdfast", ExtendedKeyUsageOID.CLIENT_AUTH)
    (tmp_path / "key.pem").write_text(key)
    env = {"CA": servers.pem.decode(), "CERT": cert}
    whole = {"ca": "env:CA", "cert": "env:CERT", "key": f"file:{tmp_path}/key.pem"}
    async with target(server_tls(servers, clients)) as there:
        receipt = await send(action(there.url(), tls=whole), **env)
        assert receipt.result == {"status": 200}
        for tls in ({"ca": "env:CA"}, {"cert": "env:CERT", "key": whole["key"]}):
            error = await fails(action(there.url(), tls=tls), **env)
            assert (type(error), error.code) == (TransientFailure, ErrorCode.TARGET_UNREACHABLE)
        error = await fails(action(there.url(), tls={"ca": "env:CA"}), CA="nonsense")
        assert error.code == ErrorCode.TARGET_MISCONFIGURED
    assert len(there.requests) == 1


OAUTH: dict[str, Any] = {"client_id": "me", "client_secret": "env:SECRET", "scopes": ["a", "b"], "audience": "x"}


def tokens(there: Target, *answers: Answer) -> dict[str, Any]:
    """Let a target give tokens; return the action's `auth`."""
    there.script["/token"] = deque(answers)
    return {"oauth2": {**OAUTH, "token_url": there.url("/token")}}


async def test_one_token_serves_many_calls() -> None:
    """It is fetched once, by the client's credentials, and kept while it lives."""
    async with target() as there:
        auth = tokens(there, Answer(body={"access_token": "t-1", "expires_in": 3600}))
        await send(action(there.url("/x"), auth=auth), 3, SECRET="s e/cret")
    (fetched,) = there.at("/token")
    assert fetched.form == {"grant_type": "client_credentials", "scope": "a b", "audience": "x"}
    pair = base64.b64decode(fetched.headers["authorization"].removeprefix("Basic ")).decode()
    assert pair == "me:s+e%2Fcret"  # RFC 6749 §2.3.1
    assert {one.headers["authorization"] for one in there.at("/x")} == {"Bearer t-1"}


async def test_a_refused_token_is_renewed_once() -> None:
    """A 401 costs one new token and one more call within the attempt; a second 401 is the answer."""
    async with target() as there:
        auth = tokens(there, *(Answer(body={"access_token": f"token-{n}"}) for n in (1, 2, 3)))
        there.script["/x"] = deque([Answer(401)])
        await send(action(there.url("/x"), auth=auth), SECRET="s")
        assert [one.headers["authorization"] for one in there.at("/x")] == ["Bearer token-1", "Bearer token-2"]
        assert [one.body for one in there.at("/x")] == [b'{"n": 1}'] * 2
        there.standing["/y"] = Answer(401, body=b"token-3 is bad, so is token-4")
        auth = tokens(there, *(Answer(body={"access_token": f"token-{n}"}) for n in (3, 4)))
        error = await fails(action(there.url("/y"), auth=auth), SECRET="s")
    assert error.code == ErrorCode.TARGET_REFUSED
    assert "token-4" not in error.message
    assert len(there.at("/y")) == 2


async def test_a_token_endpoint_that_refuses_is_tried_again_and_says_no_secret() -> None:
    """Its error word is shown, nothing else of it; nothing was sent to the target."""
    async with target() as there:
        auth = tokens(there, Answer(401, body={"error": "invalid_client", "error_description": "hunter2"}))
        error = await fails(action(there.url("/x"), auth=auth), SECRET="hunter2")
        assert isinstance(error, TransientFailure)
        assert error.code == ErrorCode.TARGET_MISCONFIGURED
        assert "invalid_client" in error.message
        assert "hunter2" not in error.message
        assert there.at("/x") == []


async def test_tokens_are_fetched_one_at_a_time() -> None:
    """Twenty deliveries at once need one token."""
    async with target() as there, new_client() as client:
        auth = tokens(there, Answer(body={"access_token": "t"}))
        http = HttpTarget(client, Secrets(Path(), {"SECRET": "s"}), SystemClock())
        cargo = Shipment("bill/shop/e-1", event("e-1"), None, None)
        await asyncio.gather(*(http.send(action(there.url("/x"), auth=auth), cargo) for _ in range(20)))
    assert len(there.at("/token")) == 1
    assert len(there.at("/x")) == 20


@pytest.mark.parametrize("secret", [WHSEC, PRIVATE])
async def test_a_signature_holds_under_our_own_verification(secret: str) -> None:
    """HMAC and Ed25519, over the bytes as they arrived, with the delivery's id and the time; one byte off it fails."""
    public = Ed25519PrivateKey.from_private_bytes(bytes(range(32))).public_key()
    known = "whpk_" + base64.b64encode(public.public_bytes(Encoding.Raw, PublicFormat.Raw)).decode()
    async with target() as there:
        await send(action(there.url(), sign={"secrets": ["env:OTHER", "env:S"]}), S=secret, OTHER="whsec_b3RoZXI=")
    (one,) = there.requests
    assert one.headers["webhook-id"] == one.headers["idempotency-key"] == "bill/shop/e-1"
    verifier = Verifier(STANDARD_WEBHOOKS.scheme, [known if secret == PRIVATE else secret], timedelta(minutes=1))
    names = ("webhook-id", "webhook-timestamp", "webhook-signature")
    headers = {name: one.headers[name] for name in names}
    assert isinstance(verifier.verify(SignedRequest.of(headers, one.body), datetime.now(UTC)), Verified)
    assert not isinstance(verifier.verify(SignedRequest.of(headers, one.body + b" "), datetime.now(UTC)), Verified)


@pytest.mark.parametrize(
    ("status", "options", "outcome"),
    [
        (404, {"expect": [200, 404]}, "done"),
        (204, {"expect": 200}, PermanentFailure),
        (302, {"expect": ["2xx", 302]}, "done"),
        (404, {"retry_on": [404]}, TransientFailure),
        (202, {"retry_on": [202]}, TransientFailure),
        (503, {"expect": "5xx"}, "done"),
        (500, {"expect": 200}, TransientFailure),
        (400, {"retry_on": "4xx"}, TransientFailure),
    ],
)
async def test_what_a_status_means_is_the_trigger_s_to_say(status: int, options: Any, outcome: Any) -> None:
    """`expect` and `retry_on` stand before the rules."""
    async with target() as there:
        there.standing["/"] = Answer(status)
        if outcome == "done":
            assert (await send(action(there.url(), **options))).summary == f"HTTP {status}"
        else:
            assert type(await fails(action(there.url(), **options))) is outcome


async def test_success_is_read_out_of_the_answer() -> None:
    """True is done, false is tried again, "refuse" is for good, what cannot be read is tried again."""
    async with target() as there:
        for body, outcome in (
            ({"ok": True}, None),
            ({"ok": False}, TransientFailure),
            ({"ok": "refuse"}, PermanentFailure),
            ({}, TransientFailure),
        ):
            there.standing["/"] = Answer(body=body)
            one = action(there.url(), success="response.data.ok")
            if outcome is None:
                await send(one)
            else:
                assert type(await fails(one)) is outcome


async def test_the_result_is_what_the_mapping_says() -> None:
    """Out of status, headers and data; where it fails, the call counts all the same; a large one is left out."""
    async with target() as there:
        there.standing["/"] = Answer(201, {"id": 7, "all": "x" * 20_000}, {"X-Request-Id": "r"})
        url = there.url()
        mapped = await send(action(url, result='{"id": response.data.id, "r": response.headers["x-request-id"]}'))
        assert mapped.result == {"id": 7, "r": "r"}
        failed = await send(action(url, result="response.data.nope"))
        assert failed.result["status"] == 201
        assert "nope" in failed.result["result_error"]
        large = await send(action(url, result="response.data"))
        assert "omitted" in large.result


async def test_a_bomb_ends_where_it_was_bounded() -> None:
    """A gigabyte of zeros in a megabyte is never unpacked; the answer counts as it stands."""
    bomb = gzip.compress(b"0" * 50_000_000)
    async with target() as there:
        there.standing["/"] = Answer(200, bomb, {"content-encoding": "gzip"})
        receipt = await send(action(there.url(), result="[response.truncated, response.text.size()]"))
        there.standing["/"] = Answer(200, gzip.compress(b'{"a": 1}'), {"content-encoding": "gzip"})
        small = await send(action(there.url(), result="response.data.a"))
    assert receipt.result == [True, 1_048_576]
    assert small.result == 1


PRIVATE_HOSTS = [
    "127.0.0.1",
    "127.1",
    "2130706433",
    "0x7f000001",
    "0177.0.0.1",
    "localhost",
    "localhost.",
    "[::1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:10.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[2002:7f00:1::]",
    "[fd00:ec2::254]",
    "[fe80::1]",
    "169.254.169.254",
    "168.63.129.16",
    "10.1.2.3",
    "100.64.0.1",
    "192.168.0.1",
    "172.31.255.255",
    "0.0.0.0",
    "224.0.0.1",
    "255.255.255.255",
]


@pytest.mark.parametrize("host", PRIVATE_HOSTS)
async def test_an_event_cannot_name_a_private_address(host: str) -> None:
    """However it is written; the refusal is for good."""
    async with target() as there:
        error = await fails(action(f"http://{host}:{there.port}/", guarded=True))
        assert there.requests == []
    assert isinstance(error, PermanentFailure), error
    # what is no host at all cannot even be asked for
    assert error.code == (ErrorCode.TARGET_MISCONFIGURED if host == "0177.0.0.1" else ErrorCode.TARGET_FORBIDDEN)


async def test_what_stands_in_the_file_may_be_private() -> None:
    """A host that the file names, in the URL or in `allow_hosts`, or the switch: all of them arrive."""
    async with target() as there:
        url = there.url()
        await send(action(url))
        await send(action(url, guarded=True, allow_hosts=["127.*"]))
        await send(action(url, guarded=True, dangerous_allow_private_addresses=True))
        assert len(there.requests) == 3
        error = await fails(action(url, guarded=True, allow_hosts=["*.example.com"]))
    assert error.code == ErrorCode.TARGET_FORBIDDEN


async def test_one_private_address_among_many_is_enough() -> None:
    """A name that resolves to a public and a private address is refused, and what is connected to was checked."""
    assert checked(["93.184.216.34", "2606:2800:220:1::1"], "a", 443) == ["93.184.216.34", "2606:2800:220:1::1"]
    for addresses in (["93.184.216.34", "127.0.0.1"], ["::ffff:192.168.0.1"]):
        with pytest.raises(PermanentFailure):
            checked(addresses, "a", 443)
    with pytest.raises(PermanentFailure, match="port 25"):
        checked(["93.184.216.34"], "a", 25)


async def test_a_guarded_call_connects_to_the_address_that_was_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The name is resolved once: what it resolves to later is never asked."""
    loop, asked = asyncio.get_running_loop(), []

    async def resolve(host: Any, port: Any, **_: Any) -> list[Any]:
        asked.append(host)
        return [(2, 1, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(loop, "getaddrinfo", resolve)
    monkeypatch.setattr("activities.routes.refusal", lambda _address, _port: None)
    async with target() as there:
        await send(action(f"http://rebinding.example:{there.port}/", guarded=True))
        assert there.requests[0].headers["host"] == f"rebinding.example:{there.port}"
    assert asked == ["rebinding.example"]
