"""Streams and consumers exist as planned: created, verified, or changed where JetStream can do so in place.

Flow: connect → **ensure** → verify_fsync → ready. What is planned stands in `holdfast/bus/streams.py`.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

from nats.js import api
from nats.js.errors import NotFoundError

from holdfast.bus.connect import Bus
from holdfast.bus.errors import classify
from holdfast.bus.fsync import verify_fsync
from holdfast.bus.streams import (
    DEAD_LETTERS,
    EVENTS,
    MAX_MESSAGE,
    UNMATCHED,
    BucketPlan,
    ConsumerPlan,
    StreamPlan,
    stream_plans,
    subject_for,
)
from holdfast.domain.streams import BusConfig
from holdfast.errors import ErrorCode, HoldfastError, Unavailable

__all__ = [
    "DEAD_LETTERS",
    "EVENTS",
    "MAX_MESSAGE",
    "UNMATCHED",
    "ensure_consumer",
    "ensure_streams",
    "subject_for",
    "verify_fsync",
]

log = logging.getLogger(__name__)

VERIFY_WITHIN = timedelta(seconds=10)

IN_PLACE = frozenset(
    {
        *("description", "discard", "duplicate_window", "max_age", "max_bytes", "max_msg_size", "max_msgs"),
        *("max_msgs_per_subject", "num_replicas"),
    }
)
"""What JetStream changes on a living stream without losing a message."""

_CHECKED = (
    *("subjects", "retention", "storage", "discard", "max_bytes", "max_msgs", "max_age", "max_msg_size"),
    *("max_msgs_per_subject", "duplicate_window", "num_replicas", "no_ack", "sealed", "deny_delete", "deny_purge"),
    *("allow_direct", "allow_rollup_hdrs", "allow_msg_ttl", "allow_msg_schedules", "persist_mode", "mirror", "sources"),
    *("republish", "subject_transform", "description"),
)
_CONSUMER_CHECKED = ("deliver_policy", "ack_policy", "ack_wait", "max_deliver", "max_ack_pending", "filter_subject")
_UNSET: tuple[Any, ...] = (
    None,
    False,
    0,
    -1,
    "",
    [],
    "default",
)  # JetStream leaves out what has its default, or spells it so


@dataclass(frozen=True, slots=True)
class Drift:
    """One field that is not as planned."""

    field: str
    actual: Any
    planned: Any

    def __str__(self) -> str:
        return f"{self.field} is {self.actual}, planned {self.planned}"


async def ensure_streams(bus: Bus, config: BusConfig) -> None:
    """Create the streams, or verify them; what JetStream can change in place is changed.

    Raises Unavailable: `bus.misconfigured` naming every difference that remains, or as the bus fails.
    """
    problems: list[str] = []
    for plan in stream_plans(config):
        problems += [f"{plan.name}: {drift}" for drift in await _bounded(partial(_ensure_stream, bus, plan))]
    if problems:
        raise Unavailable(
            ErrorCode.BUS_MISCONFIGURED,
            f"streams differ from the plan and cannot be changed in place: {'; '.join(problems)}."
            " Move the stream aside (nats stream backup, then rm) or undo the change.",
        )


async def ensure_consumer(bus: Bus, plan: ConsumerPlan) -> None:
    """Create a durable consumer with the replicas of its stream, or update it to the plan. Raises Unavailable."""

    async def ensure() -> None:
        js = bus.jetstream
        replicas = (await js.stream_info(plan.stream)).config.num_replicas or 1
        planned = plan.config(replicas)
        try:
            actual = (await js.consumer_info(plan.stream, plan.name)).config
        except NotFoundError:
            await js.add_consumer(plan.stream, planned)
            log.info("bus.consumer_created", extra={"stream": plan.stream, "consumer": plan.name})
            return
        drifts = [d for f in _CONSUMER_CHECKED if (d := _drift(f, actual, planned))]
        if drifts:
            await js.add_consumer(plan.stream, planned)  # an update, where a consumer of that name exists
            log.warning("bus.consumer_updated", extra={"consumer": plan.name, "changes": "; ".join(map(str, drifts))})

    await _bounded(ensure)


async def _ensure_stream(bus: Bus, plan: StreamPlan | BucketPlan) -> list[Drift]:
    """Create, verify or update one stream; return the drift that remains."""
    js, planned = bus.jetstream, plan.config()
    try:
        actual = (await js.stream_info(plan.name)).config
    except NotFoundError:
        await js.add_stream(planned)
        log.info("bus.stream_created", extra={"stream": plan.name})
        return []
    drifts = [drift for field in _CHECKED if (drift := _drift(field, actual, planned))]
    fixed = [drift for drift in drifts if drift.field not in IN_PLACE]
    if drifts and not fixed:
        await js.update_stream(planned)
        log.warning("bus.stream_updated", extra={"stream": plan.name, "changes": "; ".join(map(str, drifts))})
    return fixed


def _drift(field: str, actual: api.StreamConfig | api.ConsumerConfig, planned: Any) -> Drift | None:
    have, want = _plain(getattr(actual, field, None)), _plain(getattr(planned, field, None))
    same = have == want or (have in _UNSET and want in _UNSET)
    return None if same else Drift(field, have, want)


def _plain(value: Any) -> Any:
    return getattr(value, "value", value)


async def _bounded(step: Callable[[], Any]) -> Any:
    try:
        async with asyncio.timeout(VERIFY_WITHIN.total_seconds()):
            return await step()
    except HoldfastError:
        raise
    except Exception as error:
        raise classify(error) from error
