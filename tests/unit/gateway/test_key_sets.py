"""Keys of issuers are fetched beside the requests, kept while the issuer is away, and asked for within bounds."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from gateway.key_sets import AGAIN, MAX_SIZE, STALE, KeySets
from holdfast.domain.schemes import KeySet
from holdfast.errors import ErrorCode, Unavailable

SET = KeySet("https://issuer.example/keys")
X = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"  # RFC 8037, appendix A


class SetClock:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.seconds = 1_000.0

    def now(self) -> datetime:
        """Return a moment."""
        return datetime(2026, 1, 2, tzinfo=UTC)

    def monotonic(self) -> float:
        """Return where it stands."""
        return self.seconds

    def move(self, by: timedelta) -> None:
        """Move on."""
        self.seconds += by.total_seconds()


class Issuer(httpx.AsyncBaseTransport):
    """Publishes keys of these names; `status` 0 is no answer."""

    def __init__(self, *names: str) -> None:
        self.names = names
        self.status = 200
        self.asked: list[str] = []
        self.first = asyncio.Event()
        self.content: bytes | None = None
        self.described = "https://issuer.example/keys"

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer."""
        self.asked.append(str(request.url))
        self.first.set()
        if self.status == 0:
            raise httpx.ConnectError("refused")
        if request.url.path.endswith("openid-configuration"):
            return httpx.Response(self.status, json={"jwks_uri": self.described})
        keys: list[Any] = [{"kty": "OKP", "crv": "Ed25519", "x": X, "kid": name} for name in self.names]
        odd = [{"kty": "oct", "k": "c2VjcmV0", "kid": "shared"}, {"kty": "EC", "crv": "P-521"}, 7, {}]
        return httpx.Response(self.status, content=self.content or json.dumps({"keys": [*odd, *keys]}).encode())


async def names_in(sets: KeySets, wanted: KeySet = SET, *names: str) -> list[str | None]:
    """Return the names of the keys that are had."""
    return [key.kid for key in await sets.get(wanted, frozenset(names))]


async def test_a_set_is_fetched_once_for_all_that_ask_and_holds_public_keys_only() -> None:
    """Many at once cost one fetch; a shared secret in a published set is no key, and odd entries hide no other."""
    issuer = Issuer("a", "b")
    sets = KeySets(SetClock(), [SET], issuer)
    assert {tuple(found) for found in await asyncio.gather(*(names_in(sets) for _ in range(20)))} == {("a", "b")}
    assert await names_in(sets, SET, "b") == ["a", "b"]
    assert len(issuer.asked) == 1


async def test_a_new_key_is_fetched_when_a_token_names_it_but_not_at_a_strangers_will() -> None:
    """Rotation: an unknown name asks again, at most once in a while; what is not there then is simply not there."""
    clock, issuer = SetClock(), Issuer("old")
    sets = KeySets(clock, [SET], issuer)
    await names_in(sets)
    issuer.names = ("old", "new")
    assert await names_in(sets, SET, "new") == ["old"]
    clock.move(AGAIN)
    assert await names_in(sets, SET, "new") == ["old", "new"]
    for number in range(50):
        assert await names_in(sets, SET, f"made-up-{number}") == ["old", "new"]
    assert len(issuer.asked) == 2


async def test_while_the_issuer_is_away_the_last_set_counts() -> None:
    """Known keys go on for a day; a key nobody knows, and no set at all, are `try again`, never a wrong signature."""
    clock, issuer = SetClock(), Issuer("a")
    sets = KeySets(clock, [SET], issuer)
    issuer.status = 0
    for _ in range(3):
        with pytest.raises(Unavailable) as caught:
            await names_in(sets)
        assert caught.value.code is ErrorCode.SIGNATURE_KEY_UNAVAILABLE
    assert len(issuer.asked) == 1
    clock.move(AGAIN)
    issuer.status = 200
    assert await names_in(sets, SET, "a") == ["a"]
    issuer.status = 503
    clock.move(AGAIN)
    with pytest.raises(Unavailable):
        await names_in(sets, SET, "b")
    assert await names_in(sets, SET, "a") == ["a"]
    clock.move(STALE)
    with pytest.raises(Unavailable):
        await names_in(sets, SET, "a")


@pytest.mark.parametrize("content", [b"[]", b"{}", b"<html>", b'{"keys": 1}', b"[" * 50_000, b" " * (MAX_SIZE + 1)])
async def test_what_is_no_key_set_is_no_answer(content: bytes) -> None:
    """Pages, other documents and endless ones are refused."""
    issuer = Issuer("a")
    issuer.content = content
    with pytest.raises(Unavailable):
        await names_in(KeySets(SetClock(), [SET], issuer))


@pytest.mark.parametrize(
    ("described", "hosts", "holds"),
    [
        ("https://issuer.example/keys", (), True),
        ("https://keys.example/keys", ("keys.example",), True),
        ("https://keys.example/keys", (), False),
        ("http://issuer.example/keys", (), False),
        ("https://issuer.example:8443/keys", (), False),
        ("https://user@issuer.example/keys", (), False),
        ("http://169.254.169.254/", ("169.254.169.254",), False),
        ("", (), False),
    ],
)
async def test_an_issuers_description_leads_only_to_hosts_that_are_allowed(
    described: str, hosts: tuple[str, ...], *, holds: bool
) -> None:
    """The set's address is followed at the issuer's own host and at those listed, over https."""
    issuer = Issuer("a")
    issuer.described = described
    wanted = KeySet("https://issuer.example/.well-known/openid-configuration", hosts)
    sets = KeySets(SetClock(), [wanted], issuer)
    if holds:
        assert await names_in(sets, wanted) == ["a"]
    else:
        with pytest.raises(Unavailable):
            await names_in(sets, wanted)
        assert len(issuer.asked) == 1


async def test_keys_are_there_before_the_first_request() -> None:
    """They are fetched when the gateway starts, so that a request need not wait."""
    issuer = Issuer("a")
    sets = KeySets(SetClock(), [SET], issuer)
    keeping = asyncio.create_task(sets.keep())
    await asyncio.wait_for(issuer.first.wait(), 5)
    assert await names_in(sets) == ["a"]
    assert len(issuer.asked) == 1
    keeping.cancel()
    await sets.close()
