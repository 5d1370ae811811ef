"""Every activity that a Holdfast worker runs, built from what they need."""

from collections.abc import Callable
from typing import Any

import httpx

from activities.admission import Admission
from activities.announce import Announcer
from activities.case_watch import Watches
from activities.children import Children
from activities.custody import CustodyCount
from activities.dead_letters import DeadLetters
from activities.deliver import Deliver
from activities.escalations import Escalations
from activities.http import HttpTarget, new_client
from activities.joins import Joins
from activities.nats import NatsTarget
from activities.notify import Notify, Sender
from activities.operations import Operations
from activities.own import OwnTarget
from activities.people import PeopleTarget
from activities.publish import Ticks
from activities.queues import Queues
from activities.redrive import Redrives
from activities.schedule_watch import ScheduleWatcher
from activities.steps import StepResolver
from activities.stops import Stops
from activities.sweeping import Sweeps
from holdfast.bus.connect import Bus
from holdfast.clock import SystemClock
from holdfast.settings.file import LoadedConfig
from holdfast.settings.live import LiveConfig
from holdfast.settings.secrets import Secrets
from holdfast.telemetry.metrics import Metrics

DEFAULT_UI = "http://127.0.0.1:8233"


def build(  # noqa: PLR0913 - the one place where everything comes together
    bus: Bus,
    loaded: LoadedConfig | LiveConfig,
    secrets: Secrets,
    metrics: Metrics,
    http: httpx.AsyncClient | None = None,
    *,
    admission: Admission | None = None,
    ui: str = DEFAULT_UI,
) -> list[Callable[..., Any]]:
    """Return the activities. `http` is the client to use; whoever hands one in closes it, after the worker has ended.

    `admission` is the process's own where it has one, else a new one that knows no pauses; `ui` is the address of the
    Temporal UI, for links.

    The Temporal client is the worker's own (`activity.client()`).
    """
    clock = SystemClock()
    http = http or new_client()
    admission = admission or Admission(bus, loaded, metrics, clock)
    deliver = Deliver(
        HttpTarget(http, secrets, clock),
        NatsTarget(bus),
        metrics,
        clock,
        own=OwnTarget(lambda: loaded.actions),
        people=PeopleTarget(http, secrets, clock),
        bus=bus,
        admission=admission,
    )
    ticks = Ticks(bus, clock, metrics, Stops(bus, metrics, clock))
    redrives = Redrives(bus, loaded, ticks)
    queues = Queues(bus)
    watches = Watches()
    operations = Operations(bus, loaded, clock)
    children = Children(metrics, clock)
    joins = Joins(bus, metrics)
    sweeps = Sweeps(bus, metrics, clock, loaded.config.sweeper)
    notify = Notify(Sender(loaded.config.notifiers, secrets, http, bus, clock), metrics, ui)
    return [
        deliver.deliver,
        DeadLetters(bus, metrics).record_dead_letter,
        ticks.publish_tick,
        ScheduleWatcher(bus, metrics, clock).watch_schedules,
        redrives.prepare_redrive,
        redrives.republish,
        watches.watch_trigger,
        watches.look_at_trigger,
        operations.survey_operation,
        operations.advance_operation,
        sweeps.plan_sweep,
        sweeps.sweep_part,
        sweeps.tell_sweep,
        CustodyCount(bus, loaded, metrics, clock).count_custody,
        children.inspect_child,
        children.terminate_child,
        children.count_run,
        joins.settle_join,
        joins.catch_up,
        admission.admit,
        admission.leave,
        queues.settled_before,
        queues.closed,
        queues.join_queue,
        StepResolver(bus).prepare_step,
        Announcer(bus).announce,
        Escalations(loaded).report_case,
        notify.notify,
    ]
