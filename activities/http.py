"""One HTTP call: the event's own bytes (or the mapped body), once, without redirects, within one deadline.

Flow: deliver → **http** → the world. What the answer means is decided by `judge`, a pure function.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime

import httpx

from activities import cloudevents
from activities.target import Receipt, Shipment
from holdfast import __version__
from holdfast.clock import Clock
from holdfast.domain.actions import HttpAction
from holdfast.domain.quantities import format_duration
from holdfast.domain.retry import MAX_RETRY_AFTER
from holdfast.domain.secretrefs import is_reference
from holdfast.errors import ErrorCode, PermanentFailure, RejectedInput, TransientFailure
from holdfast.settings.secrets import Secrets

MAX_RESPONSE = 65_536  # bytes read of an answer; more is not our business, and the connection is dropped
MAX_ANSWER = 16_384  # characters of an answer that somebody waits for; it is kept in Temporal
EXCERPT = 200  # characters of a refusal that people see
_LATER = frozenset({408, 425, 429})
_OURS = frozenset({"content-length", "transfer-encoding", "connection"})  # the client writes them


def new_client() -> httpx.AsyncClient:
    """Return a client that is only what we ask: no proxies or netrc of the environment, no redirects, no retries."""
    return httpx.AsyncClient(
        timeout=None,  # noqa: S113 - one deadline around the whole call, which httpx cannot express
        limits=httpx.Limits(max_connections=200, max_keepalive_connections=50, keepalive_expiry=30),
        follow_redirects=False,
        trust_env=False,
    )


@dataclass(frozen=True, slots=True)
class Call:
    """One request. What is `hidden` (secrets) is blanked wherever an answer or an error would show it."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes | AsyncIterator[bytes] | None
    timeout: timedelta
    hidden: tuple[str, ...] = ()
    answer_wanted: bool = False  # the beginning of the answer belongs to the receipt


async def exchange(client: httpx.AsyncClient, call: Call, clock: Clock) -> Receipt:
    """Make one call and judge its answer. Raises TransientFailure or PermanentFailure, `target.…`."""
    answer: _Answer | None = None
    try:
        async with asyncio.timeout(call.timeout.total_seconds()):
            request = client.build_request(call.method, call.url, headers=dict(call.headers), content=call.body)
            answer = _Answer(request)
            await answer.fetch(client)
    except TimeoutError:
        if answer is None or answer.status is None:
            within = format_duration(call.timeout)
            raise TransientFailure(
                ErrorCode.TARGET_TIMEOUT, f"no answer within {within}; whether it was carried out is unknown"
            ) from None
    except (
        httpx.InvalidURL,
        httpx.UnsupportedProtocol,
        httpx.LocalProtocolError,
        UnicodeError,
        ValueError,
    ) as error:
        what = f"the request cannot be made: {type(error).__name__}"
        raise PermanentFailure(ErrorCode.TARGET_MISCONFIGURED, what) from None
    except httpx.HTTPError as error:
        what = _without(call.hidden, f"{type(error).__name__}: {error}")
        raise TransientFailure(ErrorCode.TARGET_UNREACHABLE, what) from None
    assert answer is not None and answer.status is not None  # noqa: S101, PT018 - every other way has raised
    receipt = judge(answer.status, answer.headers, _without(call.hidden, answer.excerpt)[:EXCERPT], now=clock.now())
    if not call.answer_wanted:
        return receipt
    return Receipt(receipt.summary, {**receipt.result, "body": _without(call.hidden, answer.text)[:MAX_ANSWER]})


class HttpTarget:
    """Calls HTTP endpoints. Secrets are resolved for each call and appear in no error."""

    def __init__(self, client: httpx.AsyncClient, secrets: Secrets, clock: Clock) -> None:
        self._client = client
        self._secrets = secrets
        self._clock = clock

    async def send(self, action: HttpAction, shipment: Shipment) -> Receipt:
        """Make one call. Raises TransientFailure or PermanentFailure, `target.…`."""
        headers, hidden = self._headers(action, shipment)
        call = Call(
            method=action.method,
            url=action.url,
            headers=headers,
            body=_body(action, shipment),
            timeout=action.timeout,
            hidden=tuple(hidden),
            answer_wanted=shipment.answer_wanted,
        )
        return await exchange(self._client, call, self._clock)

    def _headers(self, action: HttpAction, shipment: Shipment) -> tuple[dict[str, str], list[str]]:
        """Return the headers, and every secret among them."""
        headers = {"user-agent": f"holdfast/{__version__}", "accept-encoding": "identity"}
        headers |= cloudevents.attributes(shipment.event)
        kind = "application/json" if action.body is not None else cloudevents.content_type(shipment.event)
        if kind is not None:
            headers["content-type"] = kind
        reference = shipment.event.body_ref
        if action.body is None and action.method != "GET" and reference is not None:
            headers["content-length"] = str(reference.size)  # a body that turns out damaged ends before it is whole
        if shipment.traceparent is not None:
            headers["traceparent"] = shipment.traceparent
            if shipment.tracestate is not None:
                headers["tracestate"] = shipment.tracestate
        hidden: list[str] = []
        for name, value in action.headers.items():
            if name.lower() in _OURS:
                continue
            if is_reference(value):
                secret = self._secret(name, value)
                hidden.append(secret)
                headers[name.lower()] = secret
            else:
                headers[name.lower()] = value
        # after the mapping, so never read as references: an event that says `env:KEY` must not get the key sent
        headers |= {name.lower(): value for name, value in action.mapped_headers.items() if name.lower() not in _OURS}
        headers["idempotency-key"] = cloudevents.encode_value(shipment.delivery)
        return headers, hidden

    def _secret(self, name: str, reference: str) -> str:
        try:
            value = self._secrets.resolve(reference).get_secret_value()
        except RejectedInput as error:
            # transient: setting the secret mends it, and until then nothing needs to be given up
            raise TransientFailure(ErrorCode.TARGET_MISCONFIGURED, f"header {name}: {error.message}") from None
        if not (value.isascii() and value.isprintable()):
            raise PermanentFailure(
                ErrorCode.TARGET_MISCONFIGURED, f"header {name}: {reference} holds what no header can"
            )
        return value


class _Answer:
    """What is known of an answer so far: a deadline may pass in its middle, and a status that came still counts."""

    def __init__(self, request: httpx.Request) -> None:
        self._request = request
        self._body = b""
        self.status: int | None = None
        self.headers: Mapping[str, str] = {}

    async def fetch(self, client: httpx.AsyncClient) -> None:
        response = await client.send(self._request, stream=True)
        self.status, self.headers = response.status_code, response.headers
        try:
            with contextlib.suppress(httpx.HTTPError):  # the status is the verdict, the rest is decoration
                async for chunk in response.aiter_raw():
                    self._body += chunk[: MAX_RESPONSE - len(self._body)]
                    if len(self._body) >= MAX_RESPONSE:
                        break
        finally:
            await response.aclose()

    @property
    def text(self) -> str:
        """The beginning of the body as text; bytes that are none are replaced."""
        return self._body.decode("utf-8", "replace")

    @property
    def excerpt(self) -> str:
        """The beginning of the body as one line of text."""
        text = self._body.decode("utf-8", "replace")
        return " ".join("".join(ch if ch.isprintable() else " " for ch in text).split())


def judge(status: int, headers: Mapping[str, str], excerpt: str, *, now: datetime) -> Receipt:
    """Read an answer: 2xx is done; 408, 425, 429 and 5xx may pass; everything else is a refusal for good."""
    if 200 <= status <= 299:
        return Receipt(f"HTTP {status}", {"status": status})
    said = f"HTTP {status}" + (f": {excerpt}" if excerpt else "")
    if status in _LATER or status >= 500:
        wait = retry_after(headers.get("retry-after"), now=now)
        code = ErrorCode.TARGET_RETRY_LATER if status in _LATER or wait is not None else ErrorCode.TARGET_FAILED
        raise TransientFailure(code, said, retry_after=wait)
    if 300 <= status <= 399:
        said = f"HTTP {status}: redirects are not followed; configure the final address"
    raise PermanentFailure(ErrorCode.TARGET_REFUSED, said)


def retry_after(value: str | None, *, now: datetime) -> timedelta | None:
    """Read `Retry-After` (seconds, or an HTTP date), never negative, at most MAX_RETRY_AFTER; None where unreadable."""
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return MAX_RETRY_AFTER if len(text) > 9 else min(timedelta(seconds=int(text)), MAX_RETRY_AFTER)
    try:
        due = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    if due.tzinfo is None:
        return None
    return min(max(due - now, timedelta(0)), MAX_RETRY_AFTER)


def _body(action: HttpAction, shipment: Shipment) -> bytes | AsyncIterator[bytes] | None:
    if action.body is not None:
        return action.body.encode("utf-8", "surrogatepass")
    if action.method == "GET":
        return None
    return shipment.event.raw_body if shipment.event.body_ref is None else shipment.chunks


def _without(hidden: Sequence[str], text: str) -> str:
    """Blank every secret that a target echoed back at us."""
    for secret in hidden:
        for part in {secret, secret.rpartition(" ")[2]}:
            text = text.replace(part, "***") if len(part) >= 4 else text
    return text
