"""The outbox against a model that is a list: whatever is done to it, however often it is opened."""

import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gateway.outbox_file import ROW_COST, NewEvent, OutboxFile, Verdict

CAP = 8_000  # bytes: a handful of events, so that it is often full

events = st.builds(
    NewEvent,
    source=st.sampled_from(["a", "b"]),
    event_id=st.sampled_from(["1", "2", "3", "é", "~" * 40]),
    record=st.binary(max_size=2_500),
)


class OutboxMachine(RuleBasedStateMachine):
    """`model` is what must be there: position, event; in order."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp(prefix="outbox-"))
        self.model: list[tuple[int, NewEvent]] = []
        self.highest = 0

    @initialize()
    def begin(self) -> None:
        """Create it."""
        self.file = OutboxFile.open(self.directory / "o.sqlite", CAP)

    def teardown(self) -> None:
        """Remove it."""
        self.file.close()
        shutil.rmtree(self.directory)

    @rule(batch=st.lists(events, max_size=6), share=st.sets(st.integers(0, 5)))
    def write(self, batch: list[NewEvent], share: set[int]) -> None:
        """Remove some and add some in one commit."""
        gone = [position for index, (position, _) in enumerate(self.model) if index in share]
        verdicts = self.file.write(batch, gone)
        self.model = [(position, event) for position, event in self.model if position not in gone]
        expected = []
        for event in batch:
            if any((e.source, e.event_id) == (event.source, event.event_id) for _, e in self.model):
                expected.append(Verdict.DUPLICATE)
            elif sum(e.cost for _, e in self.model) + event.cost > CAP:
                expected.append(Verdict.FULL)
            else:
                expected.append(Verdict.STORED)
                self.model.append((-1, event))
        assert verdicts == expected
        self._learn_positions()

    @rule(positions=st.lists(st.integers(10_000, 10_010), max_size=3))
    def remove_what_is_not_there(self, positions: list[int]) -> None:
        """Removing twice, as after a crash, changes nothing."""
        self.file.write([], positions)

    @rule()
    def reopen(self) -> None:
        """Close and open."""
        self.file.close()
        self.file = OutboxFile.open(self.directory / "o.sqlite", CAP)

    @rule()
    def die(self) -> None:
        """Go on with a copy of the files as they are, as a killed process leaves them, without its cache."""
        copy = Path(tempfile.mkdtemp(prefix="outbox-"))
        for name in ("o.sqlite", "o.sqlite-wal"):
            shutil.copy(self.directory / name, copy / name)
        self.file.close()
        shutil.rmtree(self.directory)
        self.directory = copy
        self.file = OutboxFile.open(copy / "o.sqlite", CAP)

    @rule(event=events)
    @precondition(lambda self: len(self.model) < 3)
    def fail(self, event: NewEvent) -> None:
        """A commit that fails changes nothing, neither in the file nor in the totals."""
        before = (self.file.events, self.file.bytes, self.file.sources.copy())
        try:
            self.file.write([event, NewEvent("a", "broken", object())], [p for p, _ in self.model])  # type: ignore[arg-type]
        except TypeError:
            pass
        else:
            raise AssertionError("it cannot be written")
        assert (self.file.events, self.file.bytes, self.file.sources) == before

    @invariant()
    def it_is_as_the_model_says(self) -> None:
        """Events, order, bytes and sources."""
        if not hasattr(self, "file"):
            return
        found = self.file.oldest(100)
        assert [(e.source, e.event_id, e.record) for e in found] == [
            (e.source, e.event_id, e.record) for _, e in self.model
        ]
        assert self.file.events == len(self.model)
        assert self.file.bytes == sum(len(e.record) + ROW_COST for _, e in self.model) <= CAP
        assert set(self.file.sources) == {e.source for _, e in self.model}
        assert (self.file.oldest_ms is None) == (not self.model)

    def _learn_positions(self) -> None:
        """Note where each event stands; a position is never used twice, so that a late removal hits nobody else."""
        pairs = list(zip(self.file.oldest(100), self.model, strict=True))
        for row, (position, _) in pairs:
            assert row.position == position if position != -1 else row.position > self.highest
        self.model = [(row.position, event) for row, (_, event) in pairs]
        self.highest = max([self.highest, *(position for position, _ in self.model)])


OutboxMachine.TestCase.settings = settings(max_examples=25, stateful_step_count=15, deadline=None)


TestOutbox = OutboxMachine.TestCase
