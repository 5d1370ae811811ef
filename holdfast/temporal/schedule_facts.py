"""What makes a schedule the one of the file: building it, comparing it field by field, renewing it in place.

Flow: plan → **differences** → apply → **desired** | **renew**.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from temporalio.api.common.v1 import Payload
from temporalio.api.schedule.v1 import Schedule as RawSchedule
from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleDescription,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleState,
)
from temporalio.common import SearchAttributeKey, SearchAttributePair, TypedSearchAttributes

from holdfast.clock import rfc3339
from holdfast.contracts import names
from holdfast.contracts.scheduled import ScheduledInput
from holdfast.domain.calendars import FIELDS, Calendar, Spec
from holdfast.domain.quantities import format_duration
from holdfast.domain.schedules import ScheduleConfig
from holdfast.temporal.schedule_calls import Edit
from holdfast.temporal.specs import from_temporal, to_temporal


@dataclass(frozen=True, slots=True)
class Difference:
    """One field that is not as in the file: as Temporal has it, and as the file has it."""

    field: str
    now: str
    wanted: str


def desired(name: str, config: ScheduleConfig) -> Schedule:
    """Return the schedule as it is created."""
    tick = ScheduledInput(
        schedule=name,
        type=config.event.type,
        subject=config.event.subject,
        data_expression=config.event.data,
        timezone=config.timezone,
        when=config.when,
        stop_when=config.stop_when,
    )
    source = SearchAttributeKey.for_keyword(names.SA_SOURCE)
    return Schedule(
        action=ScheduleActionStartWorkflow(
            names.SCHEDULED_EVENT,
            tick,
            id=f"tick/{name}",
            task_queue=names.TASK_QUEUE,
            memo={names.MEMO_MAX_RUNS: config.max_runs or 0},
            typed_search_attributes=TypedSearchAttributes([SearchAttributePair(source, name)]),
            static_summary=f"{config.event.type} from schedule {name}"[:200],
        ),
        spec=to_temporal(config),
        policy=SchedulePolicy(
            overlap=ScheduleOverlapPolicy[config.overlap.upper()],
            catchup_window=config.catch_up,
            pause_on_failure=config.pause_on_failure,
        ),
        state=ScheduleState(
            paused=config.paused,
            note="paused in holdfast.yaml" if config.paused else None,
            limited_actions=config.max_runs is not None,
            remaining_actions=config.max_runs or 0,
        ),
    )


async def differences(
    client: Client, name: str, config: ScheduleConfig, described: ScheduleDescription
) -> tuple[Difference, ...]:
    """Return every field in which Temporal's schedule is not that of the file. State is nobody's but its own."""
    wanted, now = await _facts(client, desired(name, config)), await _facts(client, described.schedule)
    return tuple(Difference(field, now[field], wanted[field]) for field in wanted if wanted[field] != now[field])


def renew(client: Client, name: str, config: ScheduleConfig) -> Edit:
    """Return the edit that makes a schedule that of the file, but for its pause and what is left of its runs."""

    async def edit(found: ScheduleDescription, schedule: RawSchedule) -> bool:
        differ = await differences(client, name, config, found)
        if not differ:
            return False
        wanted = await desired(name, config)._to_proto(client)  # noqa: SLF001 - the SDK has no update with a token
        kept = schedule.action.start_workflow.memo.fields.get(names.MEMO_COUNTED_SINCE)
        schedule.spec.CopyFrom(wanted.spec)
        schedule.policies.CopyFrom(wanted.policies)
        schedule.action.CopyFrom(wanted.action)
        if kept is not None:
            schedule.action.start_workflow.memo.fields[names.MEMO_COUNTED_SINCE].CopyFrom(kept)
        if any(one.field == "max_runs" for one in differ):
            schedule.state.limited_actions = wanted.state.limited_actions
            schedule.state.remaining_actions = wanted.state.remaining_actions
        return True

    return edit


async def action_memo(client: Client, schedule: Schedule, key: str) -> Any:
    """Return one value of the action's memo, or None."""
    action = schedule.action
    memo: Mapping[str, Any] = (action.memo or {}) if isinstance(action, ScheduleActionStartWorkflow) else {}
    value = memo.get(key)
    if isinstance(value, Payload):
        (value,) = await client.data_converter.decode([value])
    return value


async def _facts(client: Client, schedule: Schedule) -> dict[str, str]:
    times, policy = from_temporal(schedule.spec), schedule.policy
    return {
        "times": listed_times(times.specs),
        "exclude": listed_times(times.exclude),
        "timezone": times.zone.key,
        "start_at": rfc3339(times.start) if times.start else "",
        "end_at": rfc3339(times.end) if times.end else "",
        "jitter": format_duration(schedule.spec.jitter or timedelta(0)),
        "overlap": policy.overlap.name.lower(),
        "catch_up": format_duration(policy.catchup_window or timedelta(days=365)),
        "pause_on_failure": str(policy.pause_on_failure).lower(),
        "max_runs": await _max_runs(client, schedule),
        **await _action(client, schedule),
    }


async def _max_runs(client: Client, schedule: Schedule) -> str:
    """Return the number that runs were limited to; a limit set by hand is none of the file's."""
    value = await action_memo(client, schedule, names.MEMO_MAX_RUNS)
    return str(value or "")


async def _action(client: Client, schedule: Schedule) -> dict[str, str]:
    action = schedule.action
    if not isinstance(action, ScheduleActionStartWorkflow):
        return {"workflow": "", "event": "", "when": "", "stop_when": ""}
    facts = {"workflow": f"{action.workflow} {action.id} on {action.task_queue}"}
    tick = await read_tick(client, action)
    if tick is None:
        return {**facts, "event": "not readable", "when": "", "stop_when": ""}
    event = tick.model_dump_json(include={"schedule", "type", "subject", "data", "data_expression"}, exclude_none=True)
    return {**facts, "event": event, "when": tick.when or "", "stop_when": tick.stop_when or ""}


async def read_tick(client: Client, action: ScheduleActionStartWorkflow) -> ScheduledInput | None:
    """Return the input that a schedule starts `ScheduledEvent` with; None where it is none."""
    (given,) = action.args if len(action.args) == 1 else (None,)
    if isinstance(given, ScheduledInput):
        return given
    if given is None:
        return ScheduledInput() if not action.args else None
    try:
        (value,) = await client.data_converter.decode([given], [ScheduledInput])
    except Exception:  # noqa: BLE001 - converters raise what they like; all of it means the same here
        return None
    return value if isinstance(value, ScheduledInput) else None


def listed_times(specs: tuple[Spec, ...] | tuple[Calendar, ...]) -> str:
    """Return what it ticks on as one line, in an order that does not depend on how it was written."""
    return "; ".join(sorted(_told(spec) for spec in specs))


def _told(spec: Spec) -> str:
    if not isinstance(spec, Calendar):
        offset = f" + {format_duration(spec.offset)}" if spec.offset else ""
        return f"every {format_duration(spec.every)}{offset}"
    parts = []
    for field in FIELDS:
        values: tuple[int, ...] = getattr(spec, field.name)
        if values and values != field.all:
            parts.append(f"{field.name} {_compact(values)}")
    return " ".join(parts)


def _compact(values: tuple[int, ...]) -> str:
    """Write runs of three and more as ranges."""
    runs: list[list[int]] = []
    for value in values:
        if runs and value == runs[-1][-1] + 1:
            runs[-1].append(value)
        else:
            runs.append([value])
    return ",".join(f"{run[0]}-{run[-1]}" if len(run) > 2 else ",".join(map(str, run)) for run in runs)
