"""uvicorn's HTTP/1.1 connection with what it lacks: deadlines, bounds, and no second way to read a request.

Everything that two servers could read differently (RFC 9112, section 11.2) is refused here or by the parser, with 400
and the end of the connection.
"""

import asyncio
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from gateway.connections import Connections, Reason
from gateway.limits import HEADERS_WITHIN, LINGER, MAX_HEADER_BYTES, MAX_HEADERS, MAX_PIPELINED, WRITE_WITHIN
from gateway.problems import problem_of
from holdfast.errors import ErrorCode, RejectedInput

_HOP_BY_HOP = {b"connection", b"upgrade", b"http2-settings"}


class Ambiguous(Exception):  # noqa: N818 - the parser reports it as its own error
    """A head that the parser accepts and another server might read differently."""


class GuardedProtocol(HttpToolsProtocol):
    """One connection that cannot be held open by a slow client, and on which a request has one meaning."""

    def __init__(self, *args: Any, crowd: Connections, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._crowd = crowd
        self._head_bytes = 0
        self._head_timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None
        self._in_head = self._in_body = False
        self._upgrading = False  # the request asks for another protocol; it is read again without that
        self._deaf = False  # refused: what still comes is thrown away

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request, if there is room."""
        super().connection_made(transport)
        if not self._crowd.admit(self, self.client[0] if self.client else ""):
            self._deaf = True
            transport.abort()
            return
        self._crowd.waits(self)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the timers with the connection."""
        self._crowd.forget(self)
        self._forget_head()
        self._forget_write()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count what comes before the headers end."""
        if self._deaf:
            return
        if self._head_timer is None and self._between_requests():
            self._expect_head()
        if self._head_timer is not None:
            self._head_bytes += len(data)
        self._unset_keepalive_if_required()
        self._feed(data)
        if self._head_timer is not None and self._head_bytes > MAX_HEADER_BYTES and not self._deaf:
            self.send_400_response("The headers are too large.")

    def on_message_begin(self) -> None:
        """Expect a head."""
        self._in_head = True
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header; what comes behind the body (trailers) would pass by whoever filters headers before us."""
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Stop waiting for the head, and start the request if it can be read in one way only."""
        self._in_head = False
        if self._deaf:
            return
        if len(self.pipeline) >= MAX_PIPELINED:
            self.cut("pipelining")
            return
        if self.parser.should_upgrade() and not self._upgrading:
            self._upgrading = True
            return
        check_one_meaning(self.parser.get_http_version(), self.url, self.headers)
        self._in_body = True
        self._forget_head()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a part of the body."""
        if not self._deaf:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """Note that the next move is ours."""
        if self._upgrading or self._deaf:
            return
        self._in_body = False
        super().on_message_complete()
        if not self.cycle.response_complete:
            self._crowd.works(self)

    def on_response_complete(self) -> None:
        """Note that the next move is the client's."""
        super().on_response_complete()
        if not self.pipeline:
            self._crowd.waits(self)

    def pause_writing(self) -> None:
        """Bound how long a client may leave its answers unread."""
        super().pause_writing()
        if self._write_timer is None:
            self._write_timer = self.loop.call_later(WRITE_WITHIN.total_seconds(), self.cut, "slow_reader")

    def resume_writing(self) -> None:
        """Go on."""
        self._forget_write()
        super().resume_writing()

    def cut(self, reason: Reason) -> None:
        """Close now, without an answer."""
        if not self.transport.is_closing() or self._write_timer is not None:
            self._crowd.ended(reason)
            self._deaf = True
            self.transport.abort()

    def send_400_response(self, msg: str) -> None:
        """Refuse, and hang up; in silence where the answer could be taken for that of another request."""
        self._crowd.ended("malformed")
        self._forget_head()
        self._deaf = True
        if self.transport.is_closing():
            return
        if self._answer_would_be_anothers():
            self.transport.close()
            return
        answer = problem_of(RejectedInput(ErrorCode.REQUEST_MALFORMED, msg))
        lines = [name + b": " + value + b"\r\n" for name, value in answer.headers]
        self.transport.write(b"".join([STATUS_LINE[400], *lines, b"connection: close\r\n\r\n", answer.body]))
        if self.transport.can_write_eof():  # a close with unread bytes is a reset, which can destroy the answer
            self.transport.write_eof()
            self.loop.call_later(LINGER.total_seconds(), self.transport.abort)
        else:
            self.transport.close()

    def _answer_would_be_anothers(self) -> bool:
        cycle = self.cycle
        if cycle is None:
            return False
        if cycle.response_complete:
            return self._in_body  # of a request that is answered already
        return cycle.response_started or not cycle.more_body or bool(self.pipeline)

    def _feed(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._without_upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError:
            self.send_400_response("The request is not valid HTTP/1.1.")

    def _without_upgrade(self, rest: bytes) -> None:
        """Read the request again as if it asked for no other protocol, as RFC 9110 (7.8) allows.

        The parser would skip its body: a client that offers HTTP/2 with every first request (Java's does) would
        have sent an event without content, and be told that it was stored.
        """
        version, method = self.parser.get_http_version(), self.parser.get_method()
        lines = [name + b": " + value + b"\r\n" for name, value in self.headers if name not in _HOP_BY_HOP]
        head = b"".join([method, b" ", self.url, b" HTTP/", version.encode(), b"\r\n", *lines, b"\r\n"])
        self.parser = httptools.HttpRequestParser(self)
        self._feed(head)
        self._upgrading = False
        if rest and not self._deaf:
            self._feed(rest)

    def _between_requests(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _expect_head(self) -> None:
        self._head_bytes = 0
        self._head_timer = self.loop.call_later(HEADERS_WITHIN.total_seconds(), self._too_slow)

    def _forget_head(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _forget_write(self) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None

    def _too_slow(self) -> None:
        self._head_timer = None
        self.cut("slow_headers")


def check_one_meaning(version: str, url: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    """Refuse what the parser is too kind to: versions before 1.0, codings but chunked, no Host or two.

    `headers` have lower-case names. Raises Ambiguous.
    """
    if version not in {"1.1", "1.0"}:
        raise Ambiguous("version")
    if b"#" in url:
        raise Ambiguous("target")
    hosts, size = 0, len(url)
    for name, value in headers:
        size += len(name) + len(value) + 4
        if name == b"host":
            hosts += 1
        elif name == b"transfer-encoding" and (value.strip(b" \t").lower() != b"chunked" or version == "1.0"):
            raise Ambiguous("coding")
    if hosts > 1 or (hosts == 0 and version == "1.1"):
        raise Ambiguous("host")
    if size > MAX_HEADER_BYTES or len(headers) > MAX_HEADERS:
        raise Ambiguous("size")
