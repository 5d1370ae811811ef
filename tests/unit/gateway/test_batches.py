import asyncio
from datetime import UTC, datetime

import pytest

from gateway.batches import store_all
from gateway.requests import Parcel
from holdfast.domain.events import Envelope, pack_body
from holdfast.errors import ErrorCode, RejectedInput, Unavailable
from holdfast.ids import sha256_hex

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def envelope(number: int, size: int = 1) -> Parcel:
    """One event of a batch."""
    encoding, text = pack_body(b"x" * size)
    event = Envelope(
        id=str(number),
        source="s",
        type="t",
        time=NOW,
        received_at=NOW,
        body_encoding=encoding,
        body=text,
        body_sha256=sha256_hex(b"x" * size),
    )
    return Parcel(event)


class Store:
    """Keeps ids in the order they came; fails where it is told to."""

    def __init__(self, failing: dict[str, Exception]) -> None:
        self.failing = failing
        self.kept: list[str] = []

    async def __call__(self, parcel: Parcel) -> str:
        """Store one."""
        event = parcel.envelope
        await asyncio.sleep(0)
        if event.id in self.failing:
            raise self.failing[event.id]
        self.kept.append(event.id)
        return event.id


@pytest.mark.parametrize("largest", [0, 3, 6])
async def test_the_outcomes_stand_in_the_order_of_the_batch(largest: int) -> None:
    """The largest is stored first, and still every outcome stands at its event's place."""
    store = Store({})
    batch = [envelope(number, 50 if number == largest else 1) for number in range(7)]
    assert await store_all(batch, store) == tuple("0123456")
    assert store.kept[0] == str(largest)


async def test_one_too_large_is_found_before_anything_is_stored() -> None:
    """The bus refuses the largest if it refuses any, so the batch is not taken in part for good."""
    store = Store({"2": RejectedInput(ErrorCode.REQUEST_TOO_LARGE, "too large")})
    with pytest.raises(RejectedInput):
        await store_all([envelope(0), envelope(1), envelope(2, 99)], store)
    assert store.kept == []


async def test_one_that_is_not_stored_fails_the_batch_after_all_have_ended() -> None:
    """Nothing is under way any more when the sender is told to repeat."""
    store = Store({"1": Unavailable(ErrorCode.BUS_UNAVAILABLE, "away")})
    with pytest.raises(Unavailable):
        await store_all([envelope(number) for number in range(5)], store)
    assert sorted(store.kept) == ["0", "2", "3", "4"]
