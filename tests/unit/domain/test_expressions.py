"""The functions of expressions, `default()`, and windows across midnight and summer time."""

from datetime import UTC, datetime

import pytest

from holdfast.clock import rfc3339
from holdfast.domain.expressions import EVENT, Absent, Failed, Found
from holdfast.domain.functions import Function, as_text, standard
from holdfast.domain.windows import WindowConfig
from holdfast.errors import RejectedInput

BOUND = EVENT.bind(event={"data": {"a": 1, "t": "x", "none": None, "l": [{"z": 1}], "x-y": 2}})


@pytest.mark.parametrize("function", standard(), ids=lambda one: one.name)
def test_every_function_does_what_its_example_says(function: Function) -> None:
    """The table of docs/triggers.md is true."""
    result = EVENT.compile(function.example).evaluate(BOUND)
    assert isinstance(result, Found)
    assert as_text(result.value) == function.gives


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("default(event.data.a, 9)", 1),
        ("default(event.data.none, 9)", 9),
        ("default(event.data.no.such, 'd')", "d"),
        ("default(event.data.t.no, default(event.no, 3))", 3),
        ('default(event.data["x-y"], 0)', 2),
        ("default(event.data.l[0].z, 0) + default(event.data.l[7].z, 5)", 6),
        ("'default(1, 2)'", "default(1, 2)"),
    ],
)
def test_default(source: str, value: object) -> None:
    """A field that is absent or null, at whatever depth, has the value that is given."""
    assert EVENT.compile(source).evaluate(BOUND) == Found(value)


@pytest.mark.parametrize("source", ["default(1, 2)", "default(event.a)", "default(f(event), 1)", "default(event.a, 1"])
def test_default_of_what_is_no_field_is_refused(source: str) -> None:
    """It is found at load, with the reason."""
    with pytest.raises(RejectedInput):
        EVENT.compile(source)


def test_absent_and_failed_are_told_apart() -> None:
    """A field of a text, of null, or past the end of a list is absent; calculating with a text fails."""
    for source in ("event.data.t.q", "event.data.none.q", "event.data.l[9]", 'regex.extract("a", "b")'):
        assert isinstance(EVENT.compile(source).evaluate(BOUND), Absent), source
    for source in ("event.data.t - 1 == 2", 'json.decode("{")', 'base64.decode("AAAA")', 'cidr("1.1.1.1", "x")'):
        assert isinstance(EVENT.compile(source).evaluate(BOUND), Failed), source


@pytest.mark.parametrize(
    ("at", "inside"),
    [
        ("2026-03-28T22:30:00Z", True),  # Saturday 23:30 in Berlin
        ("2026-03-29T00:30:00Z", True),  # Sunday 01:30, winter time
        ("2026-03-29T03:30:00Z", True),  # Sunday 05:30, summer time now: 06:00 comes an hour sooner
        ("2026-03-29T04:00:00Z", False),  # Sunday 06:00
        ("2026-03-29T21:30:00Z", False),  # Sunday 23:30: no window begins on a Sunday
        ("2026-10-25T00:30:00Z", True),  # Sunday 02:30, for the first time
        ("2026-10-25T01:30:00Z", True),  # Sunday 02:30, for the second time
    ],
)
def test_a_window_over_midnight_belongs_to_the_day_it_starts_on(at: str, inside: bool) -> None:
    """It is the wall clock of the zone that counts, also in the nights when it is changed."""
    window = WindowConfig.model_validate({"days": "sat", "from": "22:00", "to": "06:00", "timezone": "Europe/Berlin"})
    assert window.contains(datetime.fromisoformat(at)) is inside


@pytest.mark.parametrize(
    "given", [{"days": "mo"}, {"from": "9:00"}, {"from": "24:30"}, {"timezone": "Berlin"}, {"to": "00:00"}]
)
def test_windows_that_cannot_be_meant_are_refused(given: dict[str, str]) -> None:
    """A typing error does not become a window that never opens."""
    with pytest.raises(ValueError, match="validation error"):
        WindowConfig.model_validate(given)


def test_times_can_be_calculated_with() -> None:
    """Only with those of the event: an expression has no clock."""
    found = EVENT.compile('time.of("2026-01-02T03:04:05Z") + duration("36h")').evaluate(BOUND)
    assert found == Found(rfc3339(datetime(2026, 1, 3, 15, 4, 5, tzinfo=UTC)))
    with pytest.raises(RejectedInput):
        EVENT.compile("now()")
