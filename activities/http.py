"""One HTTP call: the event's own bytes (or the mapped body), once, without redirects, within one deadline.

Flow: deliver → **http** → the world. What the answer means is decided in `answers`, the way to the target in `routes`.
"""

import asyncio
import base64
import contextlib
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from fnmatch import fnmatchcase
from urllib.parse import urlsplit

import httpx

from activities import cloudevents
from activities.answers import MAX_READ, MAX_RESPONSE, Answered, Reader, decoded, judge, retry_after
from activities.oauth2 import Client, Tokens
from activities.routes import Route, RoutedTransport, Tls, extensions
from activities.signing import signature_headers
from activities.target import Receipt, Shipment
from holdfast import __version__
from holdfast.clock import Clock
from holdfast.domain.actions import HttpAction
from holdfast.domain.http_options import HttpOptions, OAuth2Auth, contains
from holdfast.domain.quantities import format_duration
from holdfast.domain.secretrefs import is_reference
from holdfast.errors import ErrorCode, PermanentFailure, RejectedInput, TransientFailure
from holdfast.settings.secrets import Secrets

MAX_ANSWER = 16_384  # characters of an answer that somebody waits for; it is kept in Temporal
EXCERPT = 200  # characters of a refusal that people see
_OURS = frozenset({"content-length", "transfer-encoding", "connection"})  # the client writes them
_PLAIN = HttpOptions()
_DIRECT = Route()
Body = bytes | AsyncIterator[bytes] | None


def new_client() -> httpx.AsyncClient:
    """Return a client that is only what we ask: no proxies or netrc of the environment, no redirects, no retries."""
    return httpx.AsyncClient(
        timeout=None,  # noqa: S113 - one deadline around the whole call, which httpx cannot express
        transport=RoutedTransport(),
        follow_redirects=False,
        trust_env=False,
    )


@dataclass(frozen=True, slots=True)
class Call:
    """One request. What is `hidden` (secrets) is blanked wherever an answer or an error would show it."""

    method: str
    url: str
    headers: Mapping[str, str] = field(repr=False)
    body: Body = field(repr=False)
    timeout: timedelta
    hidden: tuple[str, ...] = field(default=(), repr=False)
    options: HttpOptions = _PLAIN
    route: Route = _DIRECT
    answer_wanted: bool = False  # the beginning of the answer belongs to the receipt


async def exchange(client: httpx.AsyncClient, call: Call, clock: Clock) -> Receipt:
    """Make one call and judge its answer. Raises TransientFailure or PermanentFailure, `target.…`."""
    return conclude(call, await fetch(client, call), clock, Reader())


async def fetch(client: httpx.AsyncClient, call: Call) -> Answered:
    """Make one call. Raises TransientFailure or PermanentFailure, `target.…`, where no answer came."""
    reads = call.options.success is not None or call.options.result is not None
    answer: _Answer | None = None
    try:
        async with asyncio.timeout(call.timeout.total_seconds()):
            request = client.build_request(
                call.method,
                call.url,
                headers=dict(call.headers),
                content=call.body,
                extensions=dict(extensions(call.route)),
            )
            answer = _Answer(request, MAX_READ if reads else MAX_RESPONSE)
            await answer.fetch(client)
    except TimeoutError:
        if answer is None or answer.status is None:
            within = format_duration(call.timeout)
            raise TransientFailure(
                ErrorCode.TARGET_TIMEOUT, f"no answer within {within}; whether it was carried out is unknown"
            ) from None
    except ssl.SSLError:
        # transient, like a secret that is missing: another certificate mends it
        raise TransientFailure(
            ErrorCode.TARGET_MISCONFIGURED, "tls: ca, cert or key is no PEM that can be used"
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
    return Answered(answer.status, answer.headers, answer.body, answer.whole)


def conclude(call: Call, answered: Answered, clock: Clock, reader: Reader) -> Receipt:
    """Say what an answer means. Raises TransientFailure or PermanentFailure, `target.…`."""
    readable = decoded(answered)
    text = _without(call.hidden, readable.body.decode("utf-8", "replace"))
    now = clock.now()
    receipt = judge(answered.status, answered.headers, _line(text)[:EXCERPT], now=now, options=call.options)
    if call.answer_wanted and call.options.result is None:
        receipt = Receipt(receipt.summary, {**receipt.result, "body": text[:MAX_ANSWER]})
    return reader.read(call.options, readable, receipt, text)


class HttpTarget:
    """Calls HTTP endpoints. Secrets are resolved for each call and appear in no error."""

    def __init__(self, client: httpx.AsyncClient, secrets: Secrets, clock: Clock) -> None:
        self._client = client
        self._secrets = secrets
        self._clock = clock
        self._tokens = Tokens(client, clock)
        self._reader = Reader()

    async def send(self, action: HttpAction, shipment: Shipment) -> Receipt:
        """Make one call; two where the token was refused. Raises TransientFailure or PermanentFailure, `target.…`."""
        options = action.options or _PLAIN
        route = self._route(action, options)
        headers, hidden = self._headers(action, shipment)
        body = _body(action, shipment)
        if options.sign is not None:
            secrets = [self._secret("sign", one) for one in options.sign.secrets]
            raw = body if isinstance(body, bytes) else b""
            headers |= signature_headers(secrets, headers["idempotency-key"], raw, self._clock.now())
            hidden += secrets
        wanted = shipment.answer_wanted
        call = Call(action.method, action.url, headers, body, action.timeout, tuple(hidden), options, route, wanted)
        if options.auth is None:
            answered = await fetch(self._client, call)
        elif options.auth.oauth2 is not None:
            call, answered = await self._with_token(call, options.auth.oauth2)
        else:
            call = self._authorized(call)
            answered = await fetch(self._client, call)
        return conclude(call, answered, self._clock, self._reader)

    def _route(self, action: HttpAction, options: HttpOptions) -> Route:
        """Choose the way. Raises PermanentFailure `target.forbidden` for a host that an event may not name."""
        tls, proxy, guarded = None, options.proxy, False
        if options.tls is not None:
            refs = options.tls
            tls = Tls(
                *(self._secret("tls", one) if one is not None else None for one in (refs.ca, refs.cert, refs.key))
            )
        if proxy is not None and is_reference(proxy):
            proxy = self._secret("proxy", proxy)
        if action.guarded and not options.dangerous_allow_private_addresses:
            host = (urlsplit(action.url).hostname or "").rstrip(".")
            guarded = not any(fnmatchcase(host, one.lower()) for one in options.allow_hosts)
            if guarded and options.allow_hosts:
                raise PermanentFailure(
                    ErrorCode.TARGET_FORBIDDEN, f"the event names the host {host}, which is not among `allow_hosts`"
                )
        return Route(guarded, tls, proxy)

    def _authorized(self, call: Call) -> Call:
        auth = call.options.auth
        assert auth is not None  # noqa: S101 - the caller looked
        if auth.basic is not None:
            password = self._secret("auth", auth.basic.password)
            pair = f"{self._plain('auth', auth.basic.username)}:{password}"
            value, secret = "Basic " + base64.b64encode(pair.encode()).decode(), password
        elif auth.header is not None:
            secret = self._header_secret("auth", auth.header.value)
            value = auth.header.prefix + secret
        else:
            secret = self._header_secret("auth", auth.bearer or "")
            value = f"Bearer {secret}"
        return _with_header(call, auth.header_name, value, secret)

    async def _with_token(self, call: Call, auth: OAuth2Auth) -> tuple[Call, Answered]:
        """Call with a token; once more with a new one where it was refused. All within the one deadline."""
        client = self._oauth2_client(auth, call.route)
        loop = asyncio.get_running_loop()
        ends = loop.time() + call.timeout.total_seconds()
        token: str | None = None
        while True:
            refused, left = token, ends - loop.time()
            try:
                async with asyncio.timeout(left):
                    token = await self._tokens.get(client, instead_of=refused)
            except TimeoutError:
                raise TransientFailure(
                    ErrorCode.TARGET_RETRY_LATER, f"the token endpoint {auth.token_url} did not answer in time"
                ) from None
            within = timedelta(seconds=max(ends - loop.time(), 0.001))
            sent = replace(_with_header(call, "authorization", f"Bearer {token}", token), timeout=within)
            answered = await fetch(self._client, sent)
            expected = contains(call.options.expect or (), 401)
            replayable = call.body is None or isinstance(call.body, bytes)
            if answered.status != 401 or expected or refused is not None or not replayable:
                return sent, answered

    def _oauth2_client(self, auth: OAuth2Auth, route: Route) -> Client:
        fields = dict(auth.params)
        if auth.scopes:
            fields["scope"] = " ".join(auth.scopes)
        if auth.audience is not None:
            fields["audience"] = auth.audience
        return Client(
            auth.token_url,
            self._plain("auth", auth.client_id),
            self._secret("auth", auth.client_secret),
            tuple(sorted(fields.items())),
            auth.credentials_in == "header",
            Route(tls=route.tls, proxy=route.proxy),  # its address stands in the file, so it is never guarded
        )

    def _headers(self, action: HttpAction, shipment: Shipment) -> tuple[dict[str, str], list[str]]:
        """Return the headers, and every secret among them."""
        headers = {"user-agent": f"holdfast/{__version__}", "accept-encoding": "identity"}
        headers |= cloudevents.attributes(shipment.event)
        kind = "application/json" if action.body is not None else cloudevents.content_type(shipment.event)
        if kind is not None:
            headers["content-type"] = kind
        reference = shipment.event.body_ref
        if action.body is None and action.method not in {"GET", "HEAD"} and reference is not None:
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
                secret = self._header_secret(f"header {name}", value)
                hidden.append(secret)
                headers[name.lower()] = secret
            else:
                headers[name.lower()] = value
        # after the mapping, so never read as references: an event that says `env:KEY` must not get the key sent
        headers |= {name.lower(): value for name, value in action.mapped_headers.items() if name.lower() not in _OURS}
        headers["idempotency-key"] = cloudevents.encode_value(shipment.delivery)
        return headers, hidden

    def _plain(self, place: str, value: str) -> str:
        return self._secret(place, value) if is_reference(value) else value

    def _secret(self, place: str, reference: str) -> str:
        try:
            return self._secrets.resolve(reference).get_secret_value()
        except RejectedInput as error:
            # transient: setting the secret mends it, and until then nothing needs to be given up
            raise TransientFailure(ErrorCode.TARGET_MISCONFIGURED, f"{place}: {error.message}") from None

    def _header_secret(self, place: str, reference: str) -> str:
        value = self._secret(place, reference)
        if not (value.isascii() and value.isprintable()):
            raise PermanentFailure(ErrorCode.TARGET_MISCONFIGURED, f"{place}: {reference} holds what no header can")
        return value


class _Answer:
    """What is known of an answer so far: a deadline may pass in its middle, and a status that came still counts."""

    def __init__(self, request: httpx.Request, limit: int) -> None:
        self._request = request
        self._limit = limit
        self.body = b""
        self.whole = False
        self.status: int | None = None
        self.headers: Mapping[str, str] = {}

    async def fetch(self, client: httpx.AsyncClient) -> None:
        response = await client.send(self._request, stream=True)
        self.status, self.headers = response.status_code, response.headers
        read = bytearray()
        try:
            with contextlib.suppress(httpx.HTTPError):  # the status is the verdict, the rest is decoration
                async for chunk in response.aiter_raw():  # as it came: nothing is decompressed before it is bounded
                    read += chunk[: self._limit + 1 - len(read)]
                    if len(read) > self._limit:
                        break
                else:
                    self.whole = True
        finally:
            self.body = bytes(read[: self._limit])
            await response.aclose()


def _with_header(call: Call, name: str, value: str, secret: str) -> Call:
    return replace(call, headers={**call.headers, name: value}, hidden=(*call.hidden, value, secret))


def _line(text: str) -> str:
    """`text` as one line of printable characters."""
    text = text[: 20 * EXCERPT]
    return " ".join("".join(ch if ch.isprintable() else " " for ch in text).split())


def _body(action: HttpAction, shipment: Shipment) -> Body:
    if action.body is not None:
        return action.body.encode("utf-8", "surrogatepass")
    if action.method in {"GET", "HEAD"}:
        return None
    if shipment.event.body_ref is None:
        return shipment.event.raw_body
    return shipment.body if shipment.body is not None else shipment.chunks


def _without(hidden: Sequence[str], text: str) -> str:
    """Blank every secret that a target echoed back at us."""
    for secret in hidden:
        for part in {secret, secret.rpartition(" ")[2]}:
            text = text.replace(part, "***") if len(part) >= 4 else text
    return text


__all__ = ["Call", "HttpTarget", "conclude", "exchange", "fetch", "judge", "new_client", "retry_after"]
