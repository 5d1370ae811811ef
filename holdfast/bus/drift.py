"""What differs between a stream as it is and as it is planned, and what can be done about it without losing a message.

Flow: plan → **compare** → `topology.py` creates, changes in place, or refuses with the steps to take.
"""

from dataclasses import dataclass
from typing import Any, Literal

from nats.js import api

from holdfast.bus.streams import OWN_EVENTS, EventsPlan

IN_PLACE = frozenset(
    {
        *("description", "discard", "duplicate_window", "max_age", "max_bytes", "max_msg_size", "max_msgs"),
        *("max_msgs_per_subject", "num_replicas"),
    }
)
"""What JetStream changes on a living stream without losing a message (but what `discard: old` then evicts)."""

_CHECKED = (
    *("subjects", "retention", "storage", "discard", "max_bytes", "max_msgs", "max_age", "max_msg_size"),
    *("max_msgs_per_subject", "duplicate_window", "num_replicas", "no_ack", "sealed", "deny_delete", "deny_purge"),
    *("allow_direct", "allow_rollup_hdrs", "allow_msg_ttl", "allow_msg_schedules", "persist_mode", "mirror", "sources"),
    *("republish", "subject_transform", "description"),
)
_UNSET: tuple[Any, ...] = (None, False, 0, -1, "", [], "default")  # JetStream leaves defaults out, or spells them so

Action = Literal["create", "change", "refuse", "keep", "drain"]


@dataclass(frozen=True, slots=True)
class Drift:
    """One field that is not as planned."""

    field: str
    actual: Any
    planned: Any

    def __str__(self) -> str:
        return f"{self.field} is {self.actual}, planned {self.planned}"


@dataclass(frozen=True, slots=True)
class Change:
    """What becomes of one stream. `refuse`: nothing is done, and `steps` say what a person can do.

    `drain`: it is no longer configured, but its events are still dispatched.
    """

    stream: str
    action: Action
    drifts: tuple[Drift, ...] = ()
    steps: tuple[str, ...] = ()


def compare(plan: Any, actual: api.StreamConfig | None) -> Change:
    """Decide what becomes of one stream; `actual` None: it does not exist."""
    if actual is None:
        return Change(plan.name, "create")
    planned = plan.config()
    drifts = tuple(found for field in _CHECKED if (found := drift(field, actual, planned)))
    if not drifts:
        return Change(plan.name, "keep")
    fixed = tuple(each for each in drifts if each.field not in IN_PLACE)
    if not fixed:
        return Change(plan.name, "change", drifts)
    return Change(plan.name, "refuse", fixed, steps(plan, fixed))


def drift(field: str, actual: Any, planned: Any) -> Drift | None:
    """Return the difference of one field, or None."""
    have, want = _plain(getattr(actual, field, None)), _plain(getattr(planned, field, None))
    same = have == want or (have in _UNSET and want in _UNSET)
    return None if same else Drift(field, have, want)


def steps(plan: Any, drifts: tuple[Drift, ...]) -> tuple[str, ...]:
    """Return how to get from the stream that exists to the one that is planned, without losing an event."""
    what = ", ".join(each.field for each in drifts)
    if not isinstance(plan, EventsPlan):
        return (
            f"JetStream cannot change {what} in place: nats stream backup {plan.name}, rm, and start Holdfast again",
        )
    if plan.name.startswith(OWN_EVENTS):
        name = plan.name.removeprefix(OWN_EVENTS)
        return (
            f"give the new policy a new name: bus.streams.{name}-2 with the new keys, and leave {name} as it was",
            f"point the sources at it: `stream: {name}-2`, and apply",
            f"wait until `holdfast bus show` says that {plan.name} has nothing unsettled; workers go on draining it",
            f"remove {name} from bus.streams, then `nats stream rm {plan.name}`",
        )
    return (
        "declare a stream of your own with the new policy, for example bus.streams.events2, and leave events as it was",
        "point the sources at it: `stream: events2`, and apply; workers go on draining EVENTS",
        "or, to keep the name: stop the gateways and wait until `holdfast bus show` says EVENTS has nothing unsettled",
        "then nats stream backup EVENTS, nats stream rm EVENTS, and start the gateways again",
    )


def _plain(value: Any) -> Any:
    return getattr(value, "value", value)
