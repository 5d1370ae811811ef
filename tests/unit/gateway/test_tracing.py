import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.tracing import event_trace, incoming_trace

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
PARENT = f"00-{TRACE}-{SPAN}-01"


def test_a_cloudevents_own_trace_is_read_by_the_same_rules() -> None:
    """The Distributed Tracing extension: a valid parent with its state; otherwise nothing."""
    parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    assert event_trace({"traceparent": parent, "tracestate": "a=1", "x": 1}) == (parent, "a=1")
    assert event_trace({"tracestate": "a=1"}) == (None, None)
    assert event_trace({"traceparent": 7}) == event_trace({"traceparent": "\ud800"}) == (None, None)


def trace(*parents: str, states: tuple[str, ...] = ()) -> tuple[str | None, str | None]:
    """Read these headers."""
    headers = [(b"traceparent", parent.encode()) for parent in parents]
    return incoming_trace([*headers, *((b"tracestate", state.encode()) for state in states)])


def test_a_valid_parent_passes_and_a_later_version_is_read_as_ours() -> None:
    """What a version to come adds is dropped, as the specification asks."""
    assert trace(PARENT, states=("a=1,b@c=2", " d=3")) == (PARENT, "a=1,b@c=2,d=3")
    assert trace(f"cc-{TRACE}-{SPAN}-01-more") == (PARENT, None)


@pytest.mark.parametrize(
    "parents",
    [
        (),
        (PARENT, PARENT),
        ("",),
        (PARENT.upper(),),
        (PARENT + "-more",),
        (f"ff-{TRACE}-{SPAN}-01",),
        (f"00-{'0' * 32}-{SPAN}-01",),
        (f"00-{TRACE}-{'0' * 16}-01",),
        (f"00-{TRACE}-{SPAN}",),
        ("é" * 20,),
    ],
)
def test_a_broken_parent_takes_its_state_with_it(parents: tuple[str, ...]) -> None:
    """A state without its trace would belong to nobody."""
    assert trace(*parents, states=("a=1",)) == (None, None)


@pytest.mark.parametrize(
    "state", ["", "a", "A=1", "a=1,a=2", "a=" + "x" * 600, "a=é", ",".join(f"k{n}=1" for n in range(33))]
)
def test_a_broken_state_is_dropped_alone(state: str) -> None:
    """The trace goes on without it."""
    assert trace(PARENT, states=(state,)) == (PARENT, None)


@given(parents=st.lists(st.binary(max_size=80), max_size=3), states=st.lists(st.binary(max_size=80), max_size=3))
def test_junk_is_no_trace(parents: list[bytes], states: list[bytes]) -> None:
    """Whatever bytes come, nothing is raised and nothing of them is passed on."""
    headers = [*((b"traceparent", value) for value in parents), *((b"tracestate", value) for value in states)]
    assert incoming_trace(headers) == (None, None)
