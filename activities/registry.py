"""Every activity that a Holdfast worker runs, built from what they need."""

from collections.abc import Callable
from typing import Any

import httpx

from activities.admission import Admission
from activities.announce import Announcer
from activities.children import Children
from activities.dead_letters import DeadLetters
from activities.deliver import Deliver
from activities.http import HttpTarget, new_client
from activities.nats import NatsTarget
from activities.publish import Ticks
from activities.queues import Queues
from activities.redrive import Redrives
from holdfast.bus.connect import Bus
from holdfast.clock import SystemClock
from holdfast.settings.file import LoadedConfig
from holdfast.settings.secrets import Secrets
from holdfast.telemetry.metrics import Metrics


def build(  # noqa: PLR0913 - what activities need has this many parts
    bus: Bus,
    loaded: LoadedConfig,
    secrets: Secrets,
    metrics: Metrics,
    http: httpx.AsyncClient | None = None,
    *,
    admission: Admission | None = None,
) -> list[Callable[..., Any]]:
    """Return the activities. `http` is the client to use; whoever hands one in closes it, after the worker has ended.

    `admission` is the process's own where it has one, else a new one that knows no pauses.

    The Temporal client is the worker's own (`activity.client()`).
    """
    clock = SystemClock()
    admission = admission or Admission(bus, loaded, metrics, clock)
    deliver = Deliver(HttpTarget(http or new_client(), secrets, clock), NatsTarget(bus), metrics, clock, bus, admission)
    ticks = Ticks(bus, clock)
    redrives = Redrives(bus, loaded, ticks)
    queues = Queues(bus)
    children = Children(metrics, clock)
    return [
        deliver.deliver,
        DeadLetters(bus, metrics).record_dead_letter,
        ticks.publish_tick,
        redrives.prepare_redrive,
        redrives.republish,
        children.inspect_child,
        children.terminate_child,
        children.count_run,
        admission.admit,
        admission.leave,
        queues.settled_before,
        queues.closed,
        queues.join_queue,
        Announcer(bus).announce,
    ]
