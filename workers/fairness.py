"""Which priority and share a source's deliveries have on Temporal's task queue.

Flow: decide → **share** → start. A higher priority is served first; among equals, each source has its share however
much another sends.
"""

from collections.abc import Mapping

from temporalio.common import Priority

from holdfast.domain.sources import SourceConfig


class Fairness:
    """The shares of the configuration."""

    def __init__(self, sources: Mapping[str, SourceConfig]) -> None:
        self._known = {
            name: Priority(priority_key=source.priority, fairness_key=name, fairness_weight=source.weight)
            for name, source in sources.items()
        }

    def of(self, source: str) -> Priority:
        """Return the share of a source; one that is not configured has a share of its own."""
        known = self._known.get(source)
        return known if known is not None else Priority(fairness_key=source[:64])
