"""What people read, and the logs it is made of: bounded, on one line where it must be, pasteable."""

import re
import shlex
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from holdfast.contracts.attempts import FIRST, LAST, append, failed, lost, read_log
from holdfast.contracts.dead_letter import CaseView, DeadLetterRecord
from holdfast.contracts.delivery import Attempt, InspectChildResult
from holdfast.contracts.moves import HistoryEntry
from holdfast.domain.actions import WorkflowAction
from holdfast.domain.deadletters import CaseState, Stage
from tests.durable import RECEIVED, delivery
from workflows import narrate
from workflows.outcomes import AttemptFailed
from workflows.records import MAX_RECORD, fitting

LIMIT = 20_000  # characters; Temporal takes 20 kB of details


RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")


def letter(**more: object) -> DeadLetterRecord:
    """A dead letter."""
    fields: dict[str, object] = {
        "id": "bill/shop/e-1",
        "stage": Stage.DELIVERY,
        "code": "target.refused",
        "message": "HTTP 404",
        "at": RECEIVED,
        "source": "shop",
        "event_type": "order.created",
        "event_id": "e-1",
        "trigger": "bill",
    }
    return DeadLetterRecord.model_validate(fields | more)


def test_a_case_says_what_why_and_what_can_be_done() -> None:
    """Source, type, trigger, attempts, reason and the commands, without opening a payload."""
    attempt = failed(1, RECEIVED, "target.refused", "HTTP 404")
    view = CaseView(id="dead-letter/bill/shop/e-1", state=CaseState.OPEN, record=letter(attempts=(attempt,)))
    text = narrate.case(view)
    for part in ("OPEN", "target.refused", "`shop`", "`order.created`", "`bill`", "**1**", "redrive", "discard"):
        assert part in text
    assert "holdfast dead-letters redrive 'bill/shop/e-1'" in text


def test_a_closed_case_offers_nothing() -> None:
    """Nothing can be done to it any more."""
    view = CaseView(id="x", state=CaseState.RESOLVED, record=letter())
    assert "temporal workflow update" not in narrate.case(view)


@given(st.text(max_size=3_000), st.text(max_size=300))
def test_texts_are_bounded_and_break_no_line(message: str, by: str) -> None:
    """Whatever a target or a person wrote stays in its line."""
    attempts = tuple(failed(n, RECEIVED, "target.failed", message) for n in range(1, 21))
    history = tuple(HistoryEntry(at=RECEIVED, by=by, move="redrive", note=message) for _ in range(60))
    view = CaseView(
        id="x",
        state=CaseState.OPEN,
        record=letter(message=message, attempts=attempts),
        history=history,
        failures=attempts,
    )
    text = narrate.case(view)
    assert len(text) < LIMIT
    rows = [line for line in text.split("\n") if RFC3339.search(line) and line.startswith("- ")]
    assert len(rows) == 20 + 20 + 20 + 1  # attempts, failed redrives, history, and the line that says when it failed
    assert "\n" not in narrate.failure_line(letter(message=message))


@given(st.text(alphabet=st.characters(exclude_characters="\x00"), min_size=1, max_size=100))
def test_a_command_survives_being_pasted(dead_letter_id: str) -> None:
    """A shell reads the id back, whatever stands in it."""
    command = narrate._commands("case", dead_letter_id)[1].removeprefix("```sh\n")
    assert shlex.split(command.split("\ntemporal workflow")[0])[-1] == dead_letter_id


def test_waiting_names_the_next_attempt_and_how_to_stop() -> None:
    """A person sees when it goes on."""
    given_ = delivery(WorkflowAction(workflow="W", task_queue="q"))
    failure = AttemptFailed("target.failed", "HTTP 503", False, None, ())
    text = narrate.retrying(given_, failure, wait=timedelta(seconds=2), now=RECEIVED, workflow_id="a b")
    assert "2026-01-02T03:04:07.000Z (after 2s)" in text
    assert "temporal workflow cancel --workflow-id 'a b'" in text
    seen = InspectChildResult(begun=False, age=timedelta(seconds=5))
    assert "no worker has taken it from the task queue `q`" in narrate.waiting_for_child(
        given_, seen, child="c", now=RECEIVED
    )


@given(st.integers(1, 200))
def test_the_log_keeps_its_ends(count: int) -> None:
    """At most FIRST + LAST entries, in order, the first and the last among them."""
    log: tuple[Attempt, ...] = ()
    for number in range(1, count + 1):
        log = append(log, failed(number, RECEIVED, "target.failed", "x" * 1_000))
    numbers = [one.number for one in log]
    assert len(log) == min(count, FIRST + LAST)
    assert numbers == sorted(numbers)
    assert (numbers[0], numbers[-1]) == (1, count)
    assert read_log(([one.model_dump(mode="json") for one in log],)) == log


def test_a_lost_attempt_is_entered() -> None:
    """Where an attempt left no word, the log says so."""
    log = (failed(2, RECEIVED, "target.failed", "x"),)
    assert [one.number for one in lost(log, before=4, since=2, at=RECEIVED)] == [2, 3]
    assert lost(log, before=3, since=2, at=RECEIVED) == log
    assert lost((), before=2, since=2, at=RECEIVED) == ()
    assert read_log(("garbage",)) == ()


def test_a_record_that_is_too_large_gives_up_its_action_first() -> None:
    """The event stays; a redrive decides anew."""
    big = "x" * 1_000_000
    given_ = delivery(WorkflowAction(workflow="W", task_queue="q", args=({"data": big},)), body=big.encode())
    record = letter(envelope=given_.envelope, spec=given_.spec)
    smaller = fitting(record)
    assert smaller.spec is None
    assert smaller.envelope == given_.envelope
    assert len(smaller.model_dump_json()) <= MAX_RECORD
    assert fitting(letter()) == letter()
