"""Senders that prove themselves by their connection, or by keys that they publish, through a running gateway."""

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding

from holdfast.domain import jwts
from holdfast.domain.schemes import JwtRules, SignedRequest
from holdfast.domain.signing_keys import Key
from tests.authorities import Authority
from tests.gateways import Running, fresh, json_body
from tests.servers import NatsServer

pytestmark = pytest.mark.integration

GRAPH = "0bf30f3b-4a52-48df-9a82-234910c4a086"


class Issuer:
    """Publishes its keys over HTTP on loopback."""

    def __init__(self) -> None:
        self.keys = {"one": rsa.generate_private_key(65_537, 2_048)}
        self.status = 200
        self.asked = 0
        self.port = 0

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Issuer"]:
        """Serve."""
        server = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        async with server:
            yield self

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        self.asked += 1
        body = json.dumps({"keys": [_published(name, key) for name, key in self.keys.items()]}).encode()
        writer.write(f"HTTP/1.1 {self.status} x\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode())
        writer.write(body)
        await writer.drain()
        writer.close()

    def token(self, name: str = "one", **claims: Any) -> str:
        """Issue a token."""
        rules = JwtRules(("RS256",), ("https://issuer.example",), ("me",), claims=tuple(claims.items()), keys=None)
        private = self.keys.get(name) or rsa.generate_private_key(65_537, 2_048)
        made = jwts.issue(Key(private=private, kid=name), rules, SignedRequest((), b""), datetime.now(UTC), "j")
        assert made is not None
        return made


def _published(name: str, key: rsa.RSAPrivateKey) -> dict[str, str]:
    numbers = key.public_key().public_numbers()

    def written(number: int) -> str:
        raw = number.to_bytes((number.bit_length() + 7) // 8, "big")
        return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()

    return {"kty": "RSA", "use": "sig", "kid": name, "n": written(numbers.n), "e": written(numbers.e)}


@contextlib.asynccontextmanager
async def serving(server: NatsServer, directory: Path, sources: str) -> AsyncIterator[Running]:
    """Serve these sources, behind a proxy on loopback."""
    text = f"version: 1\ngateway: {{trusted_proxies: [127.0.0.1/32]}}\nsources:\n{sources}"
    async with fresh(server, directory, text) as running:
        yield running


async def status(running: Running, source: str, *headers: tuple[str, str]) -> tuple[int, str]:
    """POST an event; its status and code."""
    given = [("content-type", "application/json"), *headers]
    answer = await running.http.post(f"/hooks/{source}", content=json_body(a=1), headers=given)
    return answer.status_code, answer.json().get("code", "")


async def test_tokens_are_proven_by_keys_that_their_issuer_publishes(nats_server: NatsServer, tmp_path: Path) -> None:
    """A key is fetched and kept; forged, foreign and unsigned tokens are 401; a set that never came is 503."""
    async with Issuer().running() as issuer, Issuer().running() as away:
        away.status = 500
        rules = "preset: oidc, issuers: ['https://issuer.example'], audiences: [me], claims: {email: a@b.example}"
        sources = (
            f"  oidc: {{verify: {{{rules}, jwks_url: 'http://127.0.0.1:{issuer.port}/keys'}}}}\n"
            f"  away: {{verify: {{{rules}, jwks_url: 'http://127.0.0.1:{away.port}/keys'}}}}\n"
        )
        async with serving(nats_server, tmp_path, sources) as running:

            async def by(token: str, source: str = "oidc") -> tuple[int, str]:
                return await status(running, source, ("authorization", f"Bearer {token}"))

            good = issuer.token(email="a@b.example")
            assert await by(good) == (202, "")
            refused = (401, "signature.invalid")
            assert await by(issuer.token(email="c@d.example")) == refused
            assert await by(issuer.token("made-up", email="a@b.example")) == refused
            head, claims, _ = good.split(".")
            none = base64.urlsafe_b64encode(b'{"alg":"none"}').rstrip(b"=").decode()
            assert await by(f"{none}.{claims}.") == refused
            assert await by(f"{head}.{claims}.") == refused
            # the public key, taken for a shared secret
            published = json.dumps(_published("one", issuer.keys["one"])).encode()
            confused = jwts.issue(
                Key(secret=published), JwtRules(("HS256",)), SignedRequest((), b""), datetime.now(UTC), "j"
            )
            assert await by(str(confused)) == refused
            assert await status(running, "oidc") == (401, "signature.missing")
            assert issuer.asked <= 2
            assert await by(good, "away") == (503, "signature.key_unavailable")


async def test_a_clients_certificate_counts_only_from_a_trusted_proxy(nats_server: NatsServer, tmp_path: Path) -> None:
    """From the proxy by rules of the source; from anybody else, doubled or missing it is nothing."""
    root = Authority()
    (tmp_path / "ca.pem").write_bytes(root.pem)
    good = root.issue("billing", ("billing.example",)).public_bytes(Encoding.PEM)
    other = Authority().issue("billing", ("billing.example",)).public_bytes(Encoding.PEM)
    verify = "{preset: mtls, header: X-Client-Cert, secrets: ['file:ca.pem'], names: [billing.example]}"
    async with serving(nats_server, tmp_path, f"  mtls: {{verify: {verify}}}\n") as running:

        async def by(*certificates: bytes) -> tuple[int, str]:
            return await status(running, "mtls", *(("x-client-cert", quote(one.decode())) for one in certificates))

        assert await by(good) == (202, "")
        assert await by() == (401, "signature.missing")
        for wrong in ((other,), (good, good), (good, other), (b"",), (good[:-40],), (b"junk",)):
            assert await by(*wrong) == (401, "signature.invalid"), wrong
    text = f"version: 1\nsources:\n  mtls: {{verify: {verify}}}\n"
    async with fresh(nats_server, tmp_path, text) as running:  # nobody is trusted by default
        assert await by(good) == (401, "signature.invalid")


async def test_addresses_are_judged_behind_the_proxy_and_after_the_signature(
    nats_server: NatsServer, tmp_path: Path
) -> None:
    """403 for the proven from elsewhere, 401 for the unproven from anywhere; the client's own word does not count."""
    sources = (
        "  ip-allow-list: {verify: {preset: ip-allow-list, allow_ips: [192.0.2.0/24, '2001:db8::/32']}}\n"
        "  token: {verify: {preset: bearer, secrets: ['file:github.secret'], allow_ips: [192.0.2.0/24]}}\n"
    )
    async with serving(nats_server, tmp_path, sources) as running:
        secret = (tmp_path / "github.secret").read_text()

        async def at(source: str, *hops: str, token: str = "-") -> tuple[int, str]:
            headers = [("x-forwarded-for", hop) for hop in hops] + [("authorization", f"Bearer {token}")]
            return await status(running, source, *headers)

        refused = (403, "client.not_allowed")
        assert await at("ip-allow-list", "192.0.2.7") == (202, "")
        assert await at("ip-allow-list", "1.1.1.1, ::ffff:192.0.2.7") == (202, "")
        assert await at("ip-allow-list", "2001:db8::1") == (202, "")
        for hops in (("192.0.2.7, 1.1.1.1",), ("192.0.2.7", "1.1.1.1"), ("junk",), ()):
            assert await at("ip-allow-list", *hops) == refused, hops
        assert await at("token", "192.0.2.7", token=secret) == (202, "")
        assert await at("token", "1.1.1.1", token=secret) == refused
        assert await at("token", "192.0.2.7", token="wrong") == (401, "signature.invalid")


async def test_notifications_with_content_bring_tokens_that_hold(nats_server: NatsServer, tmp_path: Path) -> None:
    """Microsoft Graph: beside the client state, all tokens must hold, and content must not come without any."""
    (tmp_path / "state.secret").write_text("s3cret-state")
    async with Issuer().running() as issuer:
        verify = (
            "{preset: msgraph, secrets: ['file:state.secret'], audiences: [me],"
            f" jwks_url: 'http://127.0.0.1:{issuer.port}/'}}"
        )
        async with serving(nats_server, tmp_path, f"  msgraph: {{verify: {verify}}}\n") as running:

            async def sent(tokens: Any, *, rich: bool = True, state: str = "s3cret-state") -> int:
                value = {"clientState": state, **({"encryptedContent": {"data": "x"}} if rich else {})}
                body = {"value": [value], **({"validationTokens": tokens} if tokens is not None else {})}
                answer: httpx.Response = await running.http.post("/hooks/msgraph", json=body)
                return answer.status_code

            good, foreign = issuer.token(azp=GRAPH), issuer.token(azp="somebody else")
            assert await sent([good]) == await sent([good, issuer.token(appid=GRAPH)]) == 202
            assert await sent(None, rich=False) == 202
            for wrong in (None, [], [foreign], [good, foreign], "x", [7], [good] * 20, ["junk"]):
                assert await sent(wrong) == 401, wrong
            assert await sent([good], state="wrong") == 401
            assert await sent([foreign], rich=False) == 401


def test_certificates_of_tests_are_valid_now() -> None:
    """What the other tests send is refused for what they say, not for its age."""
    assert Authority().certificate.not_valid_after_utc > datetime.now(UTC) + timedelta(hours=1)
