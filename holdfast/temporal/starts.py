"""Starting deliveries and cases: one workflow per identity, readable in the Temporal UI before anything is opened.

Flow: decide → **start** → settle. Already started is success: Temporal's workflow id is the deduplication of record.
"""

import contextlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from temporalio.client import Client
from temporalio.common import (
    Priority,
    SearchAttributeKey,
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)

from holdfast import ids
from holdfast.clock import rfc3339
from holdfast.contracts import names
from holdfast.contracts.dead_letter import DeadLetterRecord
from holdfast.contracts.delivery import DeliveryInput
from holdfast.contracts.join import JoinInput, JoinOffer
from holdfast.domain.deadletters import CaseState
from holdfast.errors import Conflict, bounded
from holdfast.temporal.connect import bounded_call
from holdfast.temporal.queues import queue_of

START_WITHIN = timedelta(seconds=10)
TASK_TIMEOUT = timedelta(seconds=30)  # holds a local activity of 10 s; renewed while it runs
SHOW_LINE = timedelta(seconds=30)
MAX_SUMMARY = 200  # characters; Temporal takes 400 bytes
MAX_VALUE = 1_000  # characters of a search attribute; Temporal takes 2 KiB

_ONCE = WorkflowIDReusePolicy.REJECT_DUPLICATE
_SOURCE = SearchAttributeKey.for_keyword(names.SA_SOURCE)
_EVENT_ID = SearchAttributeKey.for_keyword(names.SA_EVENT_ID)
_EVENT_TYPE = SearchAttributeKey.for_keyword(names.SA_EVENT_TYPE)
_TRIGGER = SearchAttributeKey.for_keyword(names.SA_TRIGGER)
_STATE = SearchAttributeKey.for_keyword(names.SA_STATE)
_KEY = SearchAttributeKey.for_keyword(names.SA_KEY)
_ERROR = SearchAttributeKey.for_keyword(names.SA_ERROR)


@dataclass(frozen=True, slots=True)
class Started:
    """The workflow exists; `duplicate`: it existed before."""

    workflow_id: str
    duplicate: bool


async def start_delivery(
    client: Client, given: DeliveryInput, priority: Priority | None = None, line: timedelta | None = None
) -> Started:
    """Start the delivery of one event by one trigger. Raises what `classify` says.

    One that must wait is visible as `waiting` from its start; one that waits for nothing but a time begins then.
    `line`: how long it waits for a rate.
    """
    event, replay = given.envelope, given.replay
    normal = ids.delivery_id(given.spec.trigger, event.source, event.id)
    queue, delay = queue_of(given), _delay(given)
    # a state that is set must be taken back: for a short wait in a line that is not worth it
    shown = queue is not None or delay is not None or (line is not None and line > SHOW_LINE)
    if line is not None and queue is None:
        delay = max(line, delay or line)
    given = given.model_copy(update={"shown": shown, "lined_up": line is not None}) if delay or shown else given
    return await _start(
        client,
        names.EVENT_DELIVERY,
        given,
        id=normal if replay is None else ids.replay_id(normal, replay.again),
        memo=_memo(given),
        # saves a round trip where a worker shares this process; nothing depends on it
        request_eager_start=queue is None and delay is None,
        start_delay=delay if queue is None else None,  # a signal would end it
        priority=priority or Priority.default,
        search_attributes=_attributes(
            (_SOURCE, event.source),
            (_EVENT_ID, event.id),
            (_EVENT_TYPE, event.type),
            (_TRIGGER, given.spec.trigger),
            (_KEY, queue[0].key if queue is not None else given.spec.key or ""),
            (_STATE, names.STATE_WAITING if shown else ""),
        ),
        static_summary=_line(
            f"{event.type} from {event.source}: {given.spec.action.target}" + (" (replay)" if replay else "")
        ),
        static_details=_table(
            ("event", event.id),
            ("source", event.source),
            ("type", event.type),
            ("subject", event.subject or ""),
            ("received", rfc3339(event.received_at)),
            ("trigger", given.spec.trigger),
            ("target", given.spec.action.target),
            ("replay of", replay.of if replay else ""),
            ("replayed by", f"{replay.by}, {replay.operation}" if replay else ""),
        ),
    )


def _delay(given: DeliveryInput) -> timedelta | None:
    """How long the start waits, where it is worth it; the delivery itself looks at its time again."""
    if given.spec.pressure is None:
        return None
    now = datetime.now(UTC)
    wait = given.spec.pressure.earliest(now) - now
    return wait if wait > timedelta(0) else None


async def start_case(client: Client, record: DeadLetterRecord, *, given: Any = None, again: bool = False) -> Started:
    """Start the case of one dead letter, with `given` as its input where that says more than the record.

    `again`: also where an earlier run of the case was ended from outside. Raises what `classify` says.
    """
    return await _start(
        client,
        names.DEAD_LETTER,
        record if given is None else given,
        id=ids.case_id(record.id),
        id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE_FAILED_ONLY if again else _ONCE,
        search_attributes=_attributes(
            (_SOURCE, record.source),
            (_EVENT_ID, record.event_id),
            (_EVENT_TYPE, record.event_type),
            (_TRIGGER, record.trigger),
            (_STATE, CaseState.OPEN),
            (_ERROR, record.code),
            (_KEY, record.key),
        ),
        static_summary=_line(f"{record.code}: {record.event_type or 'message'} from {record.source or 'unknown'}"),
        static_details=_table(
            ("failed", f"{record.code}: {record.message}"),
            ("stage", record.stage),
            ("at", rfc3339(record.at)),
            ("source", record.source),
            ("event", record.event_id),
            ("type", record.event_type),
            ("trigger", record.trigger),
            ("attempts", str(record.attempt_count or "")),
            ("delivery", record.workflow_id or ""),
            ("replay of", record.replay.of if record.replay else ""),
        ),
    )


async def offer_to_join(client: Client, offer: JoinOffer) -> str:
    """Offer one event to the window of its key, opening one where none is open. Raises what `classify` says.

    Returns the join's workflow id. It may be repeated: the join takes an event once.
    """
    workflow_id = ids.join_id(offer.spec.trigger, offer.key)
    await bounded_call(
        client.start_workflow(
            names.JOIN,
            JoinInput(trigger=offer.spec.trigger, key=offer.key),
            id=workflow_id,
            task_queue=names.TASK_QUEUE,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,  # one run after the other; claims know repeats
            task_timeout=TASK_TIMEOUT,
            start_signal=names.OFFER,
            start_signal_args=[offer],
            memo={names.MEMO_KEY: bounded(_value(offer.key), 200)},
            search_attributes=_attributes((_TRIGGER, offer.spec.trigger), (_STATE, names.STATE_WAITING)),
            static_summary=_line(f"{offer.spec.trigger}: {offer.key}"),
            static_details=_table(
                ("trigger", offer.spec.trigger),
                ("key", offer.key),
                ("condition", offer.spec.condition),
                ("first", f"{offer.name}: {offer.envelope.source} {offer.envelope.id}"),
            ),
        ),
        START_WITHIN,
    )
    return workflow_id


async def start_watch(client: Client) -> None:
    """Start the watch for missed ticks where it does not run already. Raises what `classify` says."""
    with contextlib.suppress(Conflict):
        await bounded_call(
            client.start_workflow(
                names.SCHEDULE_WATCH,
                id=names.SCHEDULE_WATCH_ID,
                task_queue=names.TASK_QUEUE,
                id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
                id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
                static_summary="names the ticks of schedules that never ran",
            ),
            START_WITHIN,
        )


async def _start(client: Client, workflow: str, given: Any, *, id: str, **options: Any) -> Started:  # noqa: A002
    try:
        await bounded_call(
            client.start_workflow(
                workflow,
                given,
                id=id,
                task_queue=names.TASK_QUEUE,
                task_timeout=TASK_TIMEOUT,
                **{"id_reuse_policy": _ONCE, **options},
            ),
            START_WITHIN,
        )
    except Conflict:
        return Started(id, duplicate=True)
    return Started(id, duplicate=False)


def _memo(given: DeliveryInput) -> dict[str, str]:
    """Return where the event lay, and of what the delivery is a replay."""
    replay = given.replay
    lineage = {} if replay is None else {names.MEMO_REPLAY: replay.operation, names.MEMO_REPLAY_OF: replay.of}
    place = {} if given.sequence is None else {names.MEMO_PLACE: f"{given.stream}/{given.sequence}"}
    return lineage | place


def _attributes(*pairs: tuple[SearchAttributeKey[str], str]) -> TypedSearchAttributes:
    return TypedSearchAttributes([SearchAttributePair(key, _value(value)) for key, value in pairs if value])


def _value(text: str) -> str:
    """`text` as every visibility store takes it: bounded, without NUL and lone surrogates."""
    return bounded(text.encode("utf-8", "replace").decode().replace("\x00", "\ufffd"), MAX_VALUE)


def _line(text: str) -> str:
    return bounded(" ".join(_value(text).split()), MAX_SUMMARY)


def _table(*rows: tuple[str, str]) -> str:
    """Markdown, one row per fact that there is; nothing in it can break out of its cell."""
    cells = [(name, bounded(" ".join(_value(value).split()), 400)) for name, value in rows if value]
    lines = [f"| {name} | `{value.replace('|', '/').replace('`', chr(39))}` |" for name, value in cells]
    return "\n".join(("| | |", "|---|---|", *lines))
