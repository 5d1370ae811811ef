"""Work on a large body is done beside the event loop, in a thread: everybody else's webhooks go on meanwhile.

Hashing lets go of the interpreter, and reading JSON goes in steps of about a millisecond. Flow: **authenticate →
normalise → identify** of a large body.
"""

import asyncio
from collections.abc import Callable
from typing import TypeVar, TypeVarTuple

from holdfast.domain.large_bodies import INLINE

Result = TypeVar("Result")
Given = TypeVarTuple("Given")


async def beside(size: int, work: Callable[[*Given], Result], *given: *Given) -> Result:
    """Return `work(*given)`, done in a thread where it is about a body of more than INLINE bytes."""
    if size <= INLINE:
        return work(*given)
    return await asyncio.to_thread(work, *given)
