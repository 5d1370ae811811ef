"""Stores all events of a batch, or says that it may not have: its sender sends it again, and each is recognised.

Flow: receive → authenticate → normalise → identify → **publish** (each event of a batch) ─PubAck→ answer.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from gateway.limits import ANSWER_WITHIN, LARGE_ANSWER_WITHIN
from gateway.requests import Parcel
from holdfast.errors import ErrorCode, Unavailable

Outcome = TypeVar("Outcome")


async def store_all(parcels: Sequence[Parcel], store: Callable[[Parcel], Awaitable[Outcome]]) -> tuple[Outcome, ...]:
    """Store every event; return the outcomes in the order given. Raises as `store` does where one is not stored.

    The largest goes first and alone: if the bus refuses one for its size, it is that one, and nothing is stored yet.
    """
    if not parcels:
        return ()
    largest = max(range(len(parcels)), key=lambda index: parcels[index].size)
    within = LARGE_ANSWER_WITHIN if any(parcel.apart for parcel in parcels) else ANSWER_WITHIN
    try:
        async with asyncio.timeout(within.total_seconds()):
            first = await store(parcels[largest])
            rest = [parcel for index, parcel in enumerate(parcels) if index != largest]
            # all are awaited, also past a failure: what is under way when this returns is stored or not, never unknown
            others = await asyncio.gather(*map(store, rest), return_exceptions=True)
    except TimeoutError as error:
        raise Unavailable(ErrorCode.BUS_TIMEOUT, "the bus did not answer in time; the outcome is unknown") from error
    outcomes: list[Outcome] = []
    for other in others:
        if isinstance(other, BaseException):
            raise other
        outcomes.append(other)
    return (*outcomes[:largest], first, *outcomes[largest:])
