import base64
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast import ids
from holdfast.domain.deadletters import Stage
from holdfast.domain.matching import CompiledTriggers
from holdfast.domain.triggers import TriggerConfig
from holdfast.errors import ErrorCode
from tests.workers import event
from workers.decide import Arrived, Starts, Stray, Unwanted, decide, start_failed
from workers.settle import LONGEST_WAIT, redelivery_wait


def triggers(**filters: str | None) -> CompiledTriggers:
    """Triggers on `orders`, by name and filter."""
    return CompiledTriggers(
        {
            name: TriggerConfig.model_validate({"on": "orders", "when": when, "run": {"log": {}}})
            for name, when in filters.items()
        }
    )


def arrived(data: bytes, sequence: int = 7) -> Arrived:
    """A message as the dispatcher got it."""
    return Arrived(data, "EVENTS", sequence, datetime.now(UTC))


def test_every_trigger_that_matches_gets_its_delivery() -> None:
    """Two of three triggers take the event: two deliveries, each with its own decision, in the file's order."""
    one = event("e-1")
    decision = decide(arrived(one.encode()), triggers(a=None, b="event.data.wanted == false", c="true"))
    assert isinstance(decision, Starts)
    assert [given.spec.trigger for given in decision.deliveries] == ["a", "c"]
    assert all(given.envelope == one and given.sequence == 7 for given in decision.deliveries)
    assert decision.dead_letters == ()


def test_a_trigger_that_cannot_be_decided_does_not_stop_the_others() -> None:
    """One undecidable filter is that trigger's dead letter; the other trigger still delivers."""
    one = event("e-1")
    decision = decide(arrived(one.encode()), triggers(bad="event.data.wanted + 1 == 2", good=None))
    assert isinstance(decision, Starts)
    assert [given.spec.trigger for given in decision.deliveries] == ["good"]
    (record,) = decision.dead_letters
    assert record.id == ids.delivery_id("bad", "orders", "e-1")
    assert (record.stage, record.code) == (Stage.FILTER, ErrorCode.FILTER_FAILED)
    assert record.envelope == one


def test_an_event_without_a_taker_is_unwanted() -> None:
    """No trigger listens, or none matches: both are recorded as unwanted."""
    for among in (triggers(), triggers(a="false")):
        decision = decide(arrived(event("e-1").encode()), among)
        assert isinstance(decision, Unwanted)
        assert decision.sequence == 7


@given(st.binary(max_size=300))
def test_any_bytes_become_a_stray_with_those_bytes(data: bytes) -> None:
    """Whatever is no event keeps every byte, under an identity of its place in the stream."""
    decision = decide(arrived(data, 42), triggers(a=None))
    assert isinstance(decision, Stray)
    assert base64.b64decode(decision.record.raw_base64 or "") == data
    assert decision.record.id == ids.stray_id("EVENTS", 42)
    assert decision.record.stage == Stage.DECODE


@pytest.mark.parametrize("body", ['{"a":' * 5_000, "[" * 50_000, "1" * 10_000])
def test_a_hostile_body_is_still_decided(body: str) -> None:
    """Deep and huge JSON neither crashes the decision nor makes the event vanish."""
    decision = decide(arrived(event("e-1", body).encode()), triggers(a="event.data.x == 1"))
    assert isinstance(decision, Starts | Unwanted)


def test_a_start_that_can_never_succeed_keeps_everything_for_a_redrive() -> None:
    """Its dead letter has the event and the decision, at stage start."""
    decision = decide(arrived(event("e-1").encode()), triggers(a=None))
    assert isinstance(decision, Starts)
    (given,) = decision.deliveries
    record = start_failed(given, ErrorCode.START_REJECTED, "too large", arrived(b""))
    assert (record.stage, record.spec, record.envelope) == (Stage.START, given.spec, given.envelope)


@given(st.integers(min_value=1, max_value=10**6))
def test_redelivery_waits_grow_within_bounds(deliveries: int) -> None:
    """Every wait is between half a second and five minutes, and the hundredth is near the cap."""
    wait = redelivery_wait(deliveries)
    assert timedelta(seconds=0.5) <= wait <= LONGEST_WAIT
    assert redelivery_wait(100) >= LONGEST_WAIT / 2
