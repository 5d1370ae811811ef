from hypothesis import given
from hypothesis import strategies as st

from holdfast import ids

texts = st.text(max_size=200)
names = st.from_regex(ids.NAME, fullmatch=True)


@given(texts, texts)
def test_token_is_injective_and_plain(one: str, other: str) -> None:
    """Different texts give different tokens, and every token is safe in a workflow id and a subject."""
    assert (ids.token(one) == ids.token(other)) == (one == other)
    assert ids.PLAIN.fullmatch(ids.token(one).removeprefix("~"))


@given(st.tuples(names, names, texts), st.tuples(names, names, texts), st.integers(1, 99), st.integers(1, 99))
def test_workflow_ids_never_meet(one: tuple[str, str, str], other: tuple[str, str, str], n: int, m: int) -> None:
    """Deliveries, redrives, cases and strays of different origins never share an id."""
    first, second = ids.delivery_id(*one), ids.delivery_id(*other)
    assert (first == second) == (one == other)
    assert (ids.redrive_id(first, n) == ids.redrive_id(second, m)) == (one == other and n == m)
    family = {first, ids.redrive_id(first, n), ids.case_id(first), ids.stray_id("EVENTS", n), ids.foreign_id(first)}
    assert len(family) == 5


@given(texts, texts, texts, texts)
def test_message_id_tells_sources_apart(source: str, event: str, other_source: str, other_event: str) -> None:
    """`Nats-Msg-Id` is equal only for the same source and event: no concatenation of the two is ambiguous."""
    same = (source, event) == (other_source, other_event)
    assert (ids.message_id(source, event) == ids.message_id(other_source, other_event)) == same


@given(texts)
def test_a_plain_token_is_kept_readable(value: str) -> None:
    """What is already a plain token stands in the Temporal UI as the sender wrote it."""
    if ids.PLAIN.fullmatch(value):
        assert ids.token(value) == value
    else:
        assert ids.token(value).startswith("~")
