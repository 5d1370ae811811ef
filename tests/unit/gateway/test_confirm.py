import asyncio
from datetime import timedelta

import httpx
import pytest

from gateway.confirm import SubscriptionConfirmer, is_subscribe_url
from gateway.limits import MAX_CONFIRMING
from holdfast.errors import ErrorCode, RejectedInput, Unavailable

SUBSCRIBE = "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn=arn:aws:sns:a&Token=2336"


AGAIN = [timedelta(0)] * 2


@pytest.fixture(autouse=True)
def _everything_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")


def messages(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what the confirmer said."""
    return [record.message for record in caplog.records if record.name == "gateway.confirm"]


class Amazon(httpx.AsyncBaseTransport):
    """Answers with one status, and remembers what it was asked for."""

    def __init__(self, status: int) -> None:
        self.status = status
        self.asked: list[str] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer; a redirect would lead elsewhere."""
        self.asked.append(str(request.url))
        if self.status == 0:
            raise httpx.ConnectTimeout("too slow", request=request)
        return httpx.Response(self.status, headers={"Location": "http://127.0.0.1/"})


async def test_the_address_is_asked_for_once(caplog: pytest.LogCaptureFixture) -> None:
    """A 200 confirms."""
    amazon = Amazon(200)
    confirmer = SubscriptionConfirmer(amazon, AGAIN)
    confirmer("src", SUBSCRIBE)
    await confirmer.settled()
    assert amazon.asked == [SUBSCRIBE]
    assert messages(caplog) == ["handshake.confirmed"]


@pytest.mark.parametrize("status", [0, 302, 403, 500])
async def test_what_was_not_confirmed_is_tried_again_and_then_told(
    status: int, caplog: pytest.LogCaptureFixture
) -> None:
    """A failure, a refusal or a redirect, which is not followed, is an error in the log after some attempts."""
    amazon = Amazon(status)
    confirmer = SubscriptionConfirmer(amazon, AGAIN)
    confirmer("src", SUBSCRIBE)
    await confirmer.settled()
    assert amazon.asked == [SUBSCRIBE] * 3
    assert messages(caplog) == ["handshake.unconfirmed"]
    assert "2336" not in str([vars(record) for record in caplog.records if record.name == "gateway.confirm"])


async def test_only_so_many_at_once_and_none_outlives_the_gateway() -> None:
    """Past the bound the sender is asked to come again; closing ends what waits."""
    confirmer = SubscriptionConfirmer(Amazon(500), [timedelta(hours=1)])
    for _ in range(MAX_CONFIRMING):
        confirmer("src", SUBSCRIBE)
    with pytest.raises(Unavailable):
        confirmer("src", SUBSCRIBE)
    async with asyncio.timeout(5):
        await confirmer.close()


@pytest.mark.parametrize(
    "url",
    [
        "http://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription",
        "https://sns.eu-west-1.amazonaws.com:8443/?Action=ConfirmSubscription",
        "https://user@sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription",
        "https://sns.eu-west-1.amazonaws.com.evil.example/?Action=ConfirmSubscription",
        "https://evil.example/sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription",
        "https://sns.eu-west-1.amazonaws.com\\@evil.example/?Action=ConfirmSubscription",
        "https://sqs.eu-west-1.amazonaws.com/?Action=ConfirmSubscription",
        "https://sns.a.b.amazonaws.com/?Action=ConfirmSubscription",
        "https://sns.eu-west-1.amazonaws.com/?Action=Unsubscribe",
        "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&Action=Unsubscribe",
        "https://sns.eu-west-1.amazonaws.com/other?Action=ConfirmSubscription",
        "https://[::1/?Action=ConfirmSubscription",
        "https://127.0.0.1/?Action=ConfirmSubscription",
        "",
    ],
)
async def test_no_other_address_is_ever_asked_for(url: str) -> None:
    """Only SNS itself, over TLS, on its own port, to confirm."""
    amazon = Amazon(200)
    with pytest.raises(RejectedInput) as caught:
        SubscriptionConfirmer(amazon)("src", url)
    assert (caught.value.code, amazon.asked) == (ErrorCode.REQUEST_MALFORMED, [])


def test_china_is_amazon_too() -> None:
    """Regions in China end in .cn."""
    assert is_subscribe_url("https://sns.cn-north-1.amazonaws.com.cn/?Action=ConfirmSubscription&Token=1")
