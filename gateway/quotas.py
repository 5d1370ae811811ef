"""Bounds what one source and all of them together may have at work: 429 above the first, 503 above the second.

Flow: receive → authenticate → **quotas** → normalise → identify → publish.

Only a proven request draws on its source's rate and concurrency: whoever has no secret cannot use them up. The price is
that its body is read and verified first; where a rate is used up already, the request is refused before that.
"""

import contextlib
import math
import random
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta

from gateway.limits import RETRY_AFTER_CONCURRENT
from holdfast.domain.limits import SourceLimits
from holdfast.errors import ErrorCode, Unavailable

Monotonic = Callable[[], float]  # seconds


class Bucket:
    """A token bucket: full at first, refilled at a rate, drawn one by one."""

    __slots__ = ("_at", "_now", "_per_second", "_size", "_tokens")

    def __init__(self, per_second: float, size: int, now: Monotonic) -> None:
        self._per_second = per_second
        self._size = float(size)
        self._now = now
        self._tokens = float(size)
        self._at = now()

    def wait(self) -> float:
        """Seconds until one can be drawn; 0 where one can be now."""
        now = self._now()
        self._tokens = min(self._size, self._tokens + max(0.0, now - self._at) * self._per_second)
        self._at = now
        # a rounding error in the refill must not cost whoever waited exactly as long as he was told
        return max(0.0, (1.0 - 1e-6 - self._tokens) / self._per_second)

    def draw(self) -> None:
        """Take one; `wait` has said 0."""
        self._tokens -= 1.0


class Quota:
    """The limits of one source."""

    def __init__(self, source: str, limits: SourceLimits, now: Monotonic) -> None:
        self._source = source
        self._bucket: Bucket | None = None
        if (rate := limits.rate) is not None:
            self._bucket = Bucket(rate.per_second, limits.burst or rate.count, now)
        self._concurrency = limits.concurrency
        self.at_work = 0

    def check_rate(self) -> None:
        """Refuse what cannot be taken, before any work on it. Raises Unavailable `source.rate_limited`."""
        if self._bucket is not None and (wait := self._bucket.wait()) > 0:
            raise Unavailable(
                ErrorCode.SOURCE_RATE_LIMITED,
                f"{self._source} sends more than it may. Send it again later.",
                retry_after=timedelta(seconds=math.ceil(wait)),
            )

    @contextlib.contextmanager
    def working(self) -> Iterator[None]:
        """Hold a place for one proven request.

        Raises Unavailable `source.rate_limited`, `source.too_concurrent`; one that is refused draws nothing.
        """
        self.check_rate()
        if self.at_work >= self._concurrency:
            raise Unavailable(
                ErrorCode.SOURCE_TOO_CONCURRENT,
                f"{self._source} sends more at once than it may. Send it again later.",
                retry_after=timedelta(seconds=random.randint(*RETRY_AFTER_CONCURRENT)),  # noqa: S311 - spreads load
            )
        if self._bucket is not None:
            self._bucket.draw()
        self.at_work += 1
        try:
            yield
        finally:
            self.at_work -= 1


class Quotas:
    """The limits of all sources, and of the process."""

    def __init__(self, sources: Mapping[str, SourceLimits], requests: int, now: Monotonic) -> None:
        self._limits = dict(sources)
        self._now = now
        self._of = {name: Quota(name, limits, now) for name, limits in sources.items()}
        self._requests = requests
        self.at_work = 0

    def replace(self, sources: Mapping[str, SourceLimits]) -> None:
        """Take other limits; a source whose limits are the same keeps what it has used of them."""
        same = {name for name, limits in sources.items() if self._limits.get(name) == limits}
        self._of = {
            name: self._of[name] if name in same else Quota(name, limits, self._now) for name, limits in sources.items()
        }
        self._limits = dict(sources)

    def of(self, source: str) -> Quota:
        """Return the quota of a configured source."""
        return self._of[source]

    @contextlib.contextmanager
    def whole(self) -> Iterator[None]:
        """Hold a place for one request whose body has arrived. Raises Unavailable `gateway.busy`."""
        if self.at_work >= self._requests:
            raise Unavailable(ErrorCode.GATEWAY_BUSY, "too many requests at once")
        self.at_work += 1
        try:
            yield
        finally:
            self.at_work -= 1
