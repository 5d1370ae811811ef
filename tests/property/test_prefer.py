"""`Prefer` is read as RFC 7240 writes it, whatever comes; what cannot be read is never an error and never a wait."""

import string
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.domain.prefer import wanted_wait

LONGEST = timedelta(seconds=30)
TOKENS = st.text(string.ascii_letters + string.digits + "!#$%&'*+-.^_`|~", min_size=1, max_size=12)
SPACE = st.text(" \t", max_size=2)
QUOTED = st.text(string.printable.replace('"', "").replace("\\", "").strip() + " \t,;=", max_size=12).map(
    lambda text: f'"{text}"'
)


@st.composite
def preferences(draw: st.DrawFn) -> str:
    """One preference that is not `wait`."""
    name = draw(TOKENS.filter(lambda token: token.lower() != "wait"))
    value = draw(st.one_of(st.just(""), st.builds("{}={}{}".format, SPACE, SPACE, st.one_of(TOKENS, QUOTED))))
    parameters = draw(
        st.lists(st.builds("{};{}{}={}".format, SPACE, SPACE, TOKENS, st.one_of(TOKENS, QUOTED)), max_size=2)
    )
    return name + value + "".join(parameters)


@given(
    before=st.lists(preferences(), max_size=3),
    after=st.lists(preferences(), max_size=3),
    seconds=st.integers(0, 10**12),
    name=st.sampled_from(["wait", "Wait", "WAIT"]),
    gap=SPACE,
)
def test_a_wait_is_found_among_any_others(
    before: list[str], after: list[str], seconds: int, name: str, gap: str
) -> None:
    """In any place, in one header or several, clamped to the longest."""
    every = [*before, f"{name}{gap}={gap}{seconds}", *after]
    for values in ([one.encode() for one in every], [", ".join(every).encode()]):
        assert wanted_wait(values, LONGEST) == min(timedelta(seconds=min(seconds, 10**6)), LONGEST)


@given(st.lists(st.binary(max_size=60), max_size=4))
def test_no_bytes_are_an_error(values: list[bytes]) -> None:
    """Whatever stands there, it is a wait within bounds or none."""
    found = wanted_wait(values, LONGEST)
    assert found is None or timedelta(0) <= found <= LONGEST


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"wait",
        b"wait=",
        b"wait=-1",
        b"wait=+1",
        b"wait=1.5",
        b"wait=10s",
        b'wait="10"',
        b"wait=\xd9\xa3",
        b"wait==5",
        b"wait=5 wait=6",
        b"wait=5; =x",
        b'foo="unterminated, wait=5',
        b"@, wait=5",
        b"await=5",
        b"x-wait=5",
        b"wait=x, wait=5",
        b"a" * 1_100 + b", wait=5",
    ],
)
def test_what_is_no_number_of_seconds_is_no_wait(value: bytes) -> None:
    """Strictly: only digits, only in a list that can be read, and only the first `wait`."""
    assert wanted_wait([value], LONGEST) is None


def test_the_first_one_counts() -> None:
    """RFC 7240, section 2: later ones of the same name are ignored."""
    assert wanted_wait([b"wait=3", b"wait=9"], LONGEST) == timedelta(seconds=3)
    assert wanted_wait([b"wait=3, wait=9"], LONGEST) == timedelta(seconds=3)
    assert wanted_wait([b",, wait=3 ,"], LONGEST) == timedelta(seconds=3)
