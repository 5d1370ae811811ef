"""Filtering and paging of cases, without a server: queries, expressions, cursors."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.errors import RejectedInput
from holdfast.temporal.case_list import CaseFilter, CaseSummary, Cursor, Where

CASE = CaseSummary(
    workflow_id="dead-letter/bill/shop/e-1",
    run_id="r",
    state="open",
    source="shop",
    event_id="e-1",
    event_type="order.created",
    trigger="bill",
    error="target.refused",
    assignee="",
    opened_at=datetime(2026, 1, 2, tzinfo=UTC),
    closed_at=None,
)


def test_a_filter_is_a_query_that_works_elsewhere_too() -> None:
    """Values are quoted, so that nothing in them is taken for the query."""
    query = CaseFilter(trigger="it's", assignee="ben", since=CASE.opened_at).query
    assert "HoldfastTrigger = 'it\\'s'" in query
    assert "HoldfastAssignee = 'ben'" in query
    assert "StartTime >= '2026-01-02T00:00:00+00:00'" in query


@pytest.mark.parametrize(
    ("where", "takes"),
    [
        ('case.error.startsWith("target.") && case.assignee == ""', True),
        ('case.id == "bill/shop/e-1"', True),
        ('timestamp(case.opened_at) < timestamp("2026-01-01T00:00:00Z")', False),
    ],
)
def test_an_expression_chooses_cases(where: str, takes: bool) -> None:
    """Every field of `--json` can be asked for."""
    assert Where(where).takes(CASE) is takes


@pytest.mark.parametrize("where", ["case.nope == 1", "case.id", "case.id =", "1"])
def test_an_expression_that_decides_nothing_is_refused(where: str) -> None:
    """Rather than choosing cases by accident."""
    with pytest.raises(RejectedInput):
        Where(where).takes(CASE)


@given(st.none() | st.binary(min_size=1, max_size=300), st.integers(0, 500))
def test_a_cursor_survives_being_copied(token: bytes | None, seen: int) -> None:
    """What the list prints is what `--after` reads."""
    assert Cursor.decode(Cursor(token, seen).encode()) == Cursor(token, seen)


@given(st.text(max_size=50))
def test_a_cursor_that_is_none_is_refused(text: str) -> None:
    """With an error for people, whatever was typed."""
    try:
        Cursor.decode(text)
    except RejectedInput as error:
        assert "--after" in error.message  # noqa: PT017 - most texts are refused, a rare one is a cursor
