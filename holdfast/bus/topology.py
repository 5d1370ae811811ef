"""Streams and consumers exist as planned: created, verified, or changed where JetStream can do so in place.

Flow: connect → **ensure** → verify_fsync → ready. What is planned stands in `holdfast/bus/streams.py`.
"""

import asyncio
import logging
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

from nats.js.errors import NotFoundError

from holdfast.bus.connect import Bus
from holdfast.bus.drift import Change, compare, drift
from holdfast.bus.errors import classify
from holdfast.bus.fsync import verify_fsync
from holdfast.bus.lookup import event_streams
from holdfast.bus.streams import (
    DEAD_LETTERS,
    EVENTS,
    MAX_MESSAGE,
    UNMATCHED,
    BucketPlan,
    ConsumerPlan,
    EventsPlan,
    StreamPlan,
    events_plans,
    stream_plans,
    subject_for,
)
from holdfast.domain.streams import BusConfig
from holdfast.errors import ErrorCode, HoldfastError, RejectedInput, Unavailable

__all__ = [
    "DEAD_LETTERS",
    "EVENTS",
    "MAX_MESSAGE",
    "UNMATCHED",
    "ensure_consumer",
    "ensure_streams",
    "plan_streams",
    "ready_for",
    "subject_for",
    "verify_fsync",
]

log = logging.getLogger(__name__)

VERIFY_WITHIN = timedelta(seconds=10)

_CONSUMER_CHECKED = ("deliver_policy", "ack_policy", "ack_wait", "max_deliver", "max_ack_pending", "filter_subject")


async def ensure_streams(bus: Bus, config: BusConfig) -> None:
    """Create the streams, or verify them; what JetStream can change in place is changed.

    A stream of events has its consumer when this returns: without one JetStream acknowledges what it does not keep
    (retention interest), and forgets what nobody has processed uncounted (discard old).
    Raises Unavailable: `bus.misconfigured` naming every difference that remains, or as the bus fails.
    """
    refused: list[Change] = []
    for plan in stream_plans(config):
        change = await _bounded(partial(_ensure_stream, bus, plan))
        if change.action == "refuse":
            refused.append(change)
        elif isinstance(plan, EventsPlan):
            await ensure_consumer(bus, plan.consumer)
    if refused:
        raise Unavailable(ErrorCode.BUS_MISCONFIGURED, _refusal(refused))


async def ready_for(bus: Bus, now: BusConfig, new: BusConfig) -> None:
    """Make the bus fit for another configuration, if it is another; all of it or nothing.

    Raises RejectedInput `config.invalid` with the steps for what cannot be changed in place, and Unavailable.
    """
    if new == now:
        return
    if refused := [change for change in await plan_streams(bus, new) if change.action == "refuse"]:
        raise RejectedInput(ErrorCode.CONFIG_INVALID, _refusal(refused))
    await ensure_streams(bus, new)


async def plan_streams(bus: Bus, config: BusConfig) -> list[Change]:
    """Return what `ensure_streams` would do, without doing it, and the streams that are only drained. Raises."""

    async def look() -> list[Change]:
        changes = []
        for plan in stream_plans(config):
            try:
                actual = (await bus.jetstream.stream_info(plan.name)).config
            except NotFoundError:
                actual = None
            changes.append(compare(plan, actual))
        return changes

    changes: list[Change] = await _bounded(look)
    configured = {plan.name for plan in events_plans(config)}
    left = [name for name in await event_streams(bus) if name not in configured]
    return [*changes, *(Change(name, "drain") for name in left)]


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
        drifts = [d for f in _CONSUMER_CHECKED if (d := drift(f, actual, planned))]
        if drifts:
            await js.add_consumer(plan.stream, planned)  # an update, where a consumer of that name exists
            log.warning("bus.consumer_updated", extra={"consumer": plan.name, "changes": "; ".join(map(str, drifts))})

    await _bounded(ensure)


async def _ensure_stream(bus: Bus, plan: StreamPlan | EventsPlan | BucketPlan) -> Change:
    """Create, verify or update one stream; return what was done, or why nothing was."""
    js = bus.jetstream
    try:
        actual = (await js.stream_info(plan.name)).config
    except NotFoundError:
        await js.add_stream(plan.config())
        log.info("bus.stream_created", extra={"stream": plan.name})
        return Change(plan.name, "create")
    change = compare(plan, actual)
    if change.action == "change":
        await js.update_stream(plan.config())
        changes = "; ".join(map(str, change.drifts))
        log.warning("bus.stream_updated", extra={"stream": plan.name, "changes": changes})
    return change


def _refusal(refused: list[Change]) -> str:
    differences = "; ".join(f"{change.stream}: {each}" for change in refused for each in change.drifts)
    todo = " ".join(f"({n}) {step}." for change in refused for n, step in enumerate(change.steps, 1))
    return f"streams differ from the plan and cannot be changed in place: {differences}. Undo the change, or: {todo}"


async def _bounded(step: Callable[[], Any]) -> Any:
    try:
        async with asyncio.timeout(VERIFY_WITHIN.total_seconds()):
            return await step()
    except HoldfastError:
        raise
    except Exception as error:
        raise classify(error) from error
