"""The timeline against a model that walks through every minute; quiet hours and zones against the tz database."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.domain.casebook import Casebook
from holdfast.domain.escalations import EscalationConfig, QuietConfig, TierConfig
from holdfast.domain.incidents import Group, Incident, Sample
from holdfast.domain.quiet import quiet_end
from holdfast.domain.timeline import End, Recover, Resolve, Tell, Wait, next_step
from holdfast.domain.zones import zone_table

START = datetime(2026, 3, 27, 12, tzinfo=UTC)  # two days before Berlin's clocks go forward
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata")

clocks = st.builds("{:02}:{:02}".format, st.integers(0, 23), st.sampled_from([0, 15, 30]))
windows = st.builds(
    lambda start, end, zone: QuietConfig.model_validate({"from": start, "to": end, "timezone": zone}),
    clocks,
    clocks,
    st.sampled_from(ZONES),
)
tiers = st.builds(
    TierConfig,
    after=st.integers(0, 300).map(lambda n: n * MINUTE),
    notify=st.just(("a",)),
    repeat=st.none() | st.integers(5, 300).map(lambda n: n * MINUTE),
    even_in_quiet_hours=st.booleans(),
)
policies = st.builds(
    lambda steps, quiet: EscalationConfig(tiers=tuple(sorted(steps, key=lambda t: t.after)), quiet=tuple(quiet)),
    st.lists(tiers, min_size=1, max_size=3),
    st.lists(windows, max_size=1),
)


def opened(policy: EscalationConfig, cases: int = 1) -> Group:
    """A group with some cases that failed at START."""
    group = Group(policy)
    for number in range(cases):
        group.opened(Sample(f"c-{number}", START, "x", "y"), START)
    return group


def play(group: Group, until: datetime) -> list[tuple[int, datetime]]:
    """Carry the timeline out as the workflow does, on a clock that jumps: which tier was told when."""
    zones = {window.timezone: zone_table(window.timezone, START) for window in group.policy.quiet}
    now, told = START, []
    while True:
        group.advance(now)
        match next_step(group, zones, now):
            case Tell(tier, planned):
                told.append((tier, now))
                group.told(tier, planned, now)
            case Wait(wake) if wake is not None and wake <= until:
                assert wake > now
                now = wake
            case Wait():
                return told
            case step:
                raise AssertionError(step)


@settings(deadline=None, max_examples=60)
@given(policies)
def test_the_timeline_is_what_a_clock_that_walks_finds(policy: EscalationConfig) -> None:
    """At each minute a tier is told where it is due and the minute is not quiet; nothing else is ever told."""
    until = START + 2 * DAY
    expected: list[tuple[int, datetime]] = []
    last: dict[int, datetime] = {}
    now = START
    while now <= until:
        for number, tier in enumerate(policy.tiers):
            due = last[number] + tier.repeat if number in last and tier.repeat else START + tier.after
            waiting = number not in last or tier.repeat is not None
            if (
                waiting
                and now >= due
                and (tier.even_in_quiet_hours or not any(_quiet(window, now) for window in policy.quiet))
            ):
                expected.append((number, now))
                last[number] = now
        now += MINUTE
    assert sorted(play(opened(policy), until)) == sorted(expected)


def _quiet(window: QuietConfig, now: datetime) -> bool:
    """Whether a window is in force, by the clock on the wall alone."""
    wall = now.astimezone(ZoneInfo(window.timezone)).strftime("%H:%M")
    if window.start < window.end:
        return window.start <= wall < window.end
    return wall >= window.start or wall < window.end


@settings(deadline=None, max_examples=60)
@given(policies, st.integers(0, 2_000))
def test_after_an_acknowledgement_nothing_is_told(policy: EscalationConfig, minutes: int) -> None:
    """Whatever the policy, and whenever somebody acknowledges."""
    group = opened(policy, cases=3)
    moment = START + minutes * MINUTE
    play(group, moment)
    group.acknowledged("ana", moment)
    group.advance(moment)
    assert next_step(group, {w.timezone: zone_table(w.timezone, START) for w in policy.quiet}, moment) == Wait(None)


@given(st.sampled_from(ZONES), st.integers(0, 3 * 366 * 24 * 4))
def test_a_zones_table_is_the_tz_database(name: str, quarters: int) -> None:
    """Both ways: what a wall shows at a moment, and the moment a wall shows it, gaps and repeated hours included."""
    table, zone = zone_table(name, START), ZoneInfo(name)
    moment = START + quarters * timedelta(minutes=15)
    wall = moment.astimezone(zone).replace(tzinfo=None)
    assert table.local(moment) == wall
    naive = (START + quarters * timedelta(minutes=15)).replace(tzinfo=None)
    assert table.utc(naive) == naive.replace(tzinfo=zone).astimezone(UTC)


def test_a_night_is_an_hour_shorter_when_the_clocks_go_forward() -> None:
    """22:00 to 07:00 in Berlin ends at 05:00 UTC on the day of the change, and at 06:00 UTC the day before."""
    window = QuietConfig.model_validate({"from": "22:00", "to": "07:00", "timezone": "Europe/Berlin"})
    zones = {"Europe/Berlin": zone_table("Europe/Berlin", START)}
    for day, end in ((28, 6), (29, 5)):
        moment = datetime(2026, 3, day, 0, tzinfo=UTC)
        assert quiet_end([window], zones, moment) == datetime(2026, 3, day, end, tzinfo=UTC)


def test_weekends_can_be_quiet_and_touching_windows_are_one() -> None:
    """Friday night, the whole weekend and Sunday night lead to Monday morning."""
    night = QuietConfig.model_validate({"from": "22:00", "to": "07:00", "timezone": "UTC"})
    weekend = QuietConfig.model_validate({"from": "00:00", "to": "24:00", "timezone": "UTC", "days": ["sat", "sun"]})
    friday = datetime(2026, 3, 27, 23, tzinfo=UTC)
    assert quiet_end([night, weekend], {"UTC": zone_table("UTC", START)}, friday) == datetime(
        2026, 3, 30, 7, tzinfo=UTC
    )


@given(st.lists(st.tuples(st.sampled_from(["wait", "handle", "close", "all", "pack"]), st.integers(0, 5))))
def test_a_casebook_is_two_sets(moves: list[tuple[str, int]]) -> None:
    """Whatever comes, how often and in which order: the counts are those of plain sets."""
    book, waiting, handled = Casebook(), set[int](), set[int]()
    for move, case in moves:
        name = f"case-{case}"
        if move == "wait":
            assert book.wait(name) is (case not in waiting | handled)
            waiting, handled = waiting | {case}, handled - {case}
        elif move == "handle" and case in waiting:
            book.handle(name)
            waiting, handled = waiting - {case}, handled | {case}
        elif move == "close":
            assert book.close(name) is (case in waiting | handled)
            waiting, handled = waiting - {case}, handled - {case}
        elif move == "all":
            book.handle_all()
            waiting, handled = set(), waiting | handled
        elif move == "pack":
            book = Casebook.unpack(book.pack())
        assert (book.waiting, book.open) == (len(waiting), len(waiting | handled))


def test_twenty_thousand_cases_fit_into_one_payload() -> None:
    """Packed they are far below what Temporal warns of, and unpacked they are the same."""
    book = Casebook()
    for number in range(20_000):
        book.wait(f"dead-letter/bill/shop/e-{number}")
    packed = book.pack()
    assert len(packed.model_dump_json()) < 256 * 1024
    assert (again := Casebook.unpack(packed)).waiting == 20_000
    assert not again.wait("dead-letter/bill/shop/e-19999")


def test_recovered_is_told_after_the_quiet_hours_but_pagers_hear_it_at_once() -> None:
    """First those who keep incidents, then, when it is loud again, people; and then it ends."""
    quiet = QuietConfig.model_validate({"from": "11:00", "to": "14:00", "timezone": "UTC"})
    group = Group(EscalationConfig(tiers=(TierConfig(notify=("a",)),), quiet=(quiet,)), Incident())
    group.opened(Sample("c", START, "x", "y"), START)
    group.advance(START)
    group.reached(1, START, "a")
    group.closed("c", START)
    group.advance(START)
    zones = {"UTC": zone_table("UTC", START)}
    assert next_step(group, zones, START) == Resolve()
    group.facts.resolved = True
    assert next_step(group, zones, START) == Wait(START + timedelta(hours=2))
    assert next_step(group, zones, START + timedelta(hours=2)) == Recover()
    group.facts.recovered = True
    assert next_step(group, zones, START) == End()
