"""Joins as a rule: what holds for every condition, order of events and repeat."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import combinations, product

from hypothesis import given
from hypothesis import strategies as st

from holdfast.domain.conditions import Condition, parse
from holdfast.domain.joins import Arrival, Fire, Incomplete, Late, Outcome, Passed, RuledOut, Rules, Window, step

NAMES = ("a", "b", "c", "d")
START = datetime(2026, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)

terms = st.recursive(
    st.sampled_from(NAMES),
    lambda inner: (
        st.tuples(inner, st.sampled_from(["&&", "||"]), inner).map(lambda t: f"({t[0]} {t[1]} {t[2]})")
        | inner.map(lambda t: f"!{t}")
    ),
    max_leaves=6,
)
conditions = terms.map(parse).filter(lambda c: not c.holds(frozenset()) and c.certain(frozenset()) is not False)
positive = st.recursive(
    st.sampled_from(NAMES),
    lambda inner: st.tuples(inner, st.sampled_from(["&&", "||"]), inner).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
    max_leaves=6,
).map(parse)
arrivals = st.lists(st.sampled_from(NAMES), max_size=8)


def rules(condition: Condition, **more: object) -> Rules:
    """A window of an hour."""
    return replace(Rules(condition, frozenset(NAMES), timedelta(hours=1)), **more)  # type: ignore[arg-type]


def play(of: Rules, names: list[str]) -> list[Outcome]:
    """One event a minute, then the end of time; what comes out of it."""
    window: Window | None = None
    outcomes: list[Outcome] = []
    for number, name in enumerate(names):
        at = START + number * MINUTE
        window, found = step(of, window, Arrival(name, f"e{number}", 10, at, at))
        outcomes += found
    _, found = step(of, window, Passed(START + timedelta(days=9)))
    return [*outcomes, *found]


def ends(outcomes: list[Outcome]) -> list[type]:
    """How the windows ended."""
    return [type(one) for one in outcomes if isinstance(one, Fire | RuledOut | Incomplete)]


@given(conditions, st.sets(st.sampled_from(NAMES)))
def test_what_is_certain_is_what_every_future_agrees_on(condition: Condition, came: set[str]) -> None:
    """`certain` says true or false exactly where all that can still come leaves it so."""
    rest = [name for name in NAMES if name not in came]
    added = [set(more) for size in range(len(rest) + 1) for more in combinations(rest, size)]
    futures = [condition.holds(frozenset(came | more)) for more in added]
    agreed = futures[0] if len(set(futures)) == 1 else None
    assert condition.certain(frozenset(came)) is agreed


@given(positive, st.lists(st.sampled_from(NAMES), unique=True), st.randoms())
def test_the_order_of_events_does_not_matter_to_a_positive_join(condition: Condition, names: list[str], random) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    """Whether the first window fires depends on what came, not on when; nothing is ruled out."""
    shuffled = list(names)
    random.shuffle(shuffled)
    one, other = (
        ends(play(rules(condition, record_late=True), names)),
        ends(play(rules(condition, record_late=True), shuffled)),
    )
    assert one == other
    assert RuledOut not in one


@given(conditions, st.lists(st.sampled_from(NAMES), unique=True), st.randoms())
def test_a_window_that_sees_all_decides_the_same_in_any_order(condition: Condition, names: list[str], random) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    """Where no early firing closes it, the end depends on the set of names alone."""
    if any(condition.certain(frozenset(some)) for size in range(len(names)) for some in combinations(names, size)):
        return
    shuffled = list(names)
    random.shuffle(shuffled)
    assert ends(play(rules(condition), names)) == ends(play(rules(condition), shuffled))


@given(conditions, arrivals, st.booleans(), st.booleans())
def test_every_event_ends_in_exactly_one_place(condition: Condition, names: list[str], late: bool, first: bool) -> None:
    """In a window that ended, superseded by another of its name, or late: each event once, none twice."""
    of = rules(condition, record_late=late, keep_first=frozenset(NAMES) if first else frozenset())
    found: list[str] = []
    for outcome in play(of, names):
        match outcome:
            case Fire(window) | RuledOut(window) | Incomplete(window):
                found += [arrival.event for arrival in window.kept]
            case one:
                found.append(one.arrival.event)
    assert sorted(found) == sorted(f"e{number}" for number in range(len(names)))


@given(conditions, arrivals)
def test_a_window_fires_only_where_its_condition_holds(condition: Condition, names: list[str]) -> None:
    """And one that ended otherwise did not hold."""
    for outcome in play(rules(condition), names):
        match outcome:
            case Fire(window):
                assert condition.holds(window.present)
            case RuledOut(window) | Incomplete(window):
                assert not condition.holds(window.present)
            case _:
                pass


@given(arrivals)
def test_what_comes_late_is_told_apart(names: list[str]) -> None:
    """With `record`, what follows the firing within the window is late, and opens none."""
    outcomes = play(rules(parse("a"), record_late=True), ["a", *names])
    assert ends(outcomes) == [Fire]
    assert sum(isinstance(one, Late) for one in outcomes) == len(names)


def test_a_sliding_window_ends_after_quiet_or_at_its_limit() -> None:
    """`reset: each` counts anew from each event, `at_most` bounds it; `first` counts once."""
    fixed = rules(parse("a && b"))
    sliding = replace(fixed, sliding=True, at_most=timedelta(hours=2))
    for of, wanted in ((fixed, 60), (sliding, 120)):
        window: Window | None = None
        for minute in range(0, 50, 10):
            at = START + minute * MINUTE
            window, _ = step(of, window, Arrival("a", f"e{minute}", 1, at, at))
        assert window is not None
        assert window.ends_at == START + (wanted if of is fixed else 100) * MINUTE
        at = START + 59 * MINUTE
        window, _ = step(of, window, Arrival("a", "last", 1, at, at))
        assert window is not None
        assert window.ends_at == START + (60 if of is fixed else 119) * MINUTE


def test_the_clock_can_end_a_window() -> None:
    """`reset_at` ends it before its time, sliding or not."""
    for sliding, closes in product((False, True), (START + 10 * MINUTE,)):
        of = rules(parse("a && b"), sliding=sliding)
        window, _ = step(of, None, Arrival("a", "e", 1, START, START, closes))
        assert window is not None
        assert window.ends_at == closes


def test_an_event_received_in_time_belongs_to_its_window_though_looked_at_late() -> None:
    """A dispatcher that lagged does not make an absence."""
    of = rules(parse("a && !b"))
    window, _ = step(of, None, Arrival("a", "e1", 1, START, START))
    late = START + timedelta(hours=3)
    assert ends(list(step(of, window, Arrival("b", "e2", 1, late, START + MINUTE))[1])) == []
    assert ends(list(step(of, window, Arrival("b", "e2", 1, late, late))[1])) == [Fire]
