import resource

import pytest

from gateway.connections import Connections, Reason, allow_connections
from holdfast.domain.limits import GatewayLimits


class Line:
    """A connection that notes why it was cut."""

    def __init__(self) -> None:
        self.why: Reason | None = None

    def cut(self, reason: Reason) -> None:
        """Note."""
        self.why = reason


class Counts:
    """What was counted."""

    def __init__(self) -> None:
        self.open = 0
        self.ended: list[str] = []

    def connections(self, open: int) -> None:  # noqa: A002
        """Note."""
        self.open = open

    def connection_ended(self, reason: str) -> None:
        """Note."""
        self.ended.append(reason)


def full(counts: Counts, **limits: int) -> tuple[Connections, list[Line]]:
    """Return a crowd of 16 that is full, all of them waiting."""
    crowd = Connections(GatewayLimits.model_validate({"connections": 16, **limits}), counts)
    lines = [Line() for _ in range(16)]
    for number, line in enumerate(lines):
        assert crowd.admit(line, f"10.0.0.{number % 4}")
        crowd.waits(line)
    return crowd, lines


def test_who_has_kept_us_waiting_longest_makes_room() -> None:
    """In the order in which the waits began; who has sent a whole request is not among them."""
    counts = Counts()
    crowd, lines = full(counts)
    crowd.works(lines[0])  # has sent all
    crowd.waits(lines[1])  # was answered just now
    newcomers = [Line(), Line()]
    for line in newcomers:
        assert crowd.admit(line, "x")
        crowd.waits(line)
    assert [number for number, line in enumerate(lines) if line.why] == [2, 3]
    assert {line.why for line in lines[2:4]} == {"crowded_out"}
    assert (len(crowd), counts.open) == (16, 16)


def test_with_all_at_work_a_newcomer_is_refused() -> None:
    """Nobody whose request is whole is cut for somebody else."""
    counts = Counts()
    crowd, lines = full(counts)
    for line in lines:
        crowd.works(line)
    assert not crowd.admit(Line(), "x")
    assert counts.ended == ["no_room"]
    crowd.forget(lines[7])
    assert crowd.admit(Line(), "x")


def test_one_address_is_bounded_where_configured() -> None:
    """The next one of the same address is refused, another address is not; what is closed counts no longer."""
    counts = Counts()
    crowd, lines = full(counts, connections=100, connections_per_address=4)
    assert not crowd.admit(Line(), "10.0.0.1")
    assert crowd.admit(Line(), "10.0.0.9")
    crowd.forget(lines[1])
    crowd.forget(lines[1])
    assert crowd.admit(Line(), "10.0.0.1")
    assert counts.ended == ["address"]


def test_connections_fit_the_file_descriptors(monkeypatch: pytest.MonkeyPatch) -> None:
    """The soft limit is raised as far as the hard one; what then fits is what is admitted."""
    given: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1_024, 4_096))
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: given.append(limits))
    assert allow_connections(8_000) == 4_096 - 128
    assert given == [(4_096, 4_096)]
    assert allow_connections(500) == 500
