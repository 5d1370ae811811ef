"""Certificates are fetched once, kept, and never cost more than a little."""

import asyncio
from datetime import datetime

import httpx
import pytest

from gateway.certificates import AT_ONCE, MAX_SIZE, Certificates
from gateway.trust import Trust
from holdfast.clock import SystemClock
from holdfast.domain.presets import PRESETS
from holdfast.domain.schemes import KeySource
from holdfast.errors import ErrorCode, HoldfastError

PEM = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
ADDRESS = "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0a.pem"


SNS = PRESETS["aws-sns"].scheme.key_source or pytest.fail("has one")


class Everybody(Trust):
    """Believes whatever is fetched."""

    def believes(self, pem: bytes, source: KeySource, now: datetime) -> bool:  # noqa: ARG002
        """Believe."""
        return True


class Host(httpx.AsyncBaseTransport):
    """A host that answers by the last word of the path, and counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.free = asyncio.Event()
        self.free.set()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer."""
        self.asked += 1
        await self.free.wait()
        match request.url.path:
            case "/away":
                raise httpx.ConnectError("refused")
            case "/gone":
                return httpx.Response(404)
            case "/broken":
                return httpx.Response(503)
            case "/moved":
                return httpx.Response(302, headers={"location": "https://evil.example/"})
            case "/large":
                return httpx.Response(200, content=PEM + b"A" * MAX_SIZE)
            case "/page":
                return httpx.Response(200, content=b"<html>")
            case _:
                return httpx.Response(200, content=PEM)


async def test_a_certificate_is_fetched_once_for_all_that_ask() -> None:
    """Many requests at once, and many after them, cost one fetch."""
    host = Host()
    certificates = Certificates(SystemClock(), host, Everybody())
    host.free.clear()
    waiting = [asyncio.create_task(certificates.get(ADDRESS, SNS)) for _ in range(20)]
    await asyncio.sleep(0)
    host.free.set()
    assert set(await asyncio.gather(*waiting)) == {PEM}
    assert await certificates.get(ADDRESS, SNS) == PEM
    assert host.asked == 1


@pytest.mark.parametrize(
    ("path", "code", "asked"),
    [
        ("gone", ErrorCode.SIGNATURE_INVALID, 1),
        ("moved", ErrorCode.SIGNATURE_INVALID, 1),
        ("large", ErrorCode.SIGNATURE_INVALID, 1),
        ("page", ErrorCode.SIGNATURE_INVALID, 1),
        ("away", ErrorCode.SIGNATURE_KEY_UNAVAILABLE, 2),
        ("broken", ErrorCode.SIGNATURE_KEY_UNAVAILABLE, 2),
    ],
)
async def test_no_certificate_is_a_wrong_signature_and_no_answer_is_try_again(
    path: str, code: ErrorCode, asked: int
) -> None:
    """What the host does not have is not asked for again at once; what it could not answer is."""
    host = Host()
    certificates = Certificates(SystemClock(), host, Everybody())
    for _ in range(2):
        with pytest.raises(HoldfastError) as caught:
            await certificates.get(f"https://sns.eu-west-1.amazonaws.com/{path}", SNS)
        assert caught.value.code is code
    assert host.asked == asked


async def test_strangers_cannot_make_it_ask_without_bound() -> None:
    """Of many made-up addresses only a few are under way; the rest is told to come again."""
    host = Host()
    host.free.clear()
    certificates = Certificates(SystemClock(), host, Everybody())
    tasks = [asyncio.create_task(certificates.get(f"{ADDRESS}{n}", SNS)) for n in range(50)]
    done, pending = await asyncio.wait(tasks, timeout=0.2)
    assert (len(done), len(pending)) == (50 - AT_ONCE, AT_ONCE)
    host.free.set()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    refused = [one.code for one in answers if isinstance(one, HoldfastError)]
    assert set(refused) == {ErrorCode.SIGNATURE_KEY_UNAVAILABLE}
    assert host.asked == AT_ONCE
