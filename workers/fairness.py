"""Which priority and share a source's deliveries have on Temporal's task queue.

Flow: decide → **share** → start. A higher priority is served first; among equals, each source has its share however
much another sends.
"""

from collections.abc import Mapping

from temporalio.common import Priority

from holdfast.domain.sources import SourceConfig

MAX_KEY = 64  # bytes that Temporal takes; names of sources are shorter


def share_of(source: str, sources: Mapping[str, SourceConfig]) -> Priority:
    """Return the share of a source; one that is not configured (a schedule) has a share of its own."""
    known = sources.get(source)
    if known is None:
        return Priority(fairness_key=source.encode()[:MAX_KEY].decode("utf-8", "ignore"))
    return Priority(priority_key=known.priority, fairness_key=source, fairness_weight=known.weight)
