"""Join against the pure rule: random conditions, order and repeats, with workers that come and go in between."""

import random
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from activities.registry import build
from holdfast.contracts import names
from holdfast.contracts.join import JoinOffer, JoinSpec
from holdfast.domain.joins import Fire, Incomplete, Outcome, Passed, RuledOut, Window, step
from holdfast.embedded.servers import binary
from holdfast.settings.secrets import Secrets
from holdfast.telemetry.metrics import Metrics
from holdfast.temporal.starts import offer_to_join
from tests import buses, durable
from tests.joins import join, offer, spec
from tests.servers import NatsServer
from tests.workflows.conftest import registered
from workers.replayer import WorkflowOptions
from workflows.windows import arrival

pytestmark = pytest.mark.integration

CONDITIONS = ("a && b", "a && !b", "a && (b || c)", "(a || b) && !c", "a && b && !c", "(a && b) || (c && !b)")
OUTCOMES = {Fire: "fired", RuledOut: "ruled-out", Incomplete: "dropped"}


def drawn(draw: random.Random, key: str) -> tuple[JoinSpec, list[JoinOffer]]:
    """A join, and what is offered to it: a few events, most of them more than once, in any order."""
    parts = {
        name: {"on": "shop", "key": "event.subject", "keep": draw.choice(["last", "first"])} for name in ("a", "b", "c")
    }
    given: dict[str, Any] = {"join": parts, "condition": draw.choice(CONDITIONS), "within": "1h", "at_end": "drop"}
    given |= {
        "late": draw.choice(["new_window", "record"]),
        "run": {"http": {"url": "http://127.0.0.1:1/", "timeout": "20s"}},
    }
    given |= {
        "retry": {"max_attempts": 1}
    }  # a slow action is a regular activity: workers without a cache drop local ones
    of = spec(given, trigger="random")
    events = [offer(of, draw.choice("abc"), f"{key}-{number}", key=key) for number in range(draw.randint(1, 6))]
    offers = [one for one in events for _ in range(draw.randint(1, 3))]
    draw.shuffle(offers)
    return of, offers


def expected(of: JoinSpec, offers: list[JoinOffer]) -> list[tuple[str, tuple[str, ...]]]:
    """How the rule says the windows end: each event once, in the order of its first coming."""
    now = durable.RECEIVED
    window: Window | None = None
    outcomes: list[Outcome] = []
    seen: set[str] = set()
    for one in offers:
        if one.claim not in seen:
            seen.add(one.claim)
            window, found = step(of.rules(), window, arrival(one, now))
            outcomes += found
    _, found = step(of.rules(), window, Passed(now + of.within))
    return [
        (OUTCOMES[type(one)], tuple(kept.name for kept in one.window.kept))
        for one in (*outcomes, *found)
        if isinstance(one, Fire | RuledOut | Incomplete)
    ]


async def test_the_workflow_does_what_the_rule_says(tmp_path: Path, nats_server: NatsServer) -> None:
    """Whatever comes in whatever order and however often, with workers that end in between: the rule's windows."""
    async with (
        await WorkflowEnvironment.start_time_skipping(
            test_server_existing_path=binary("temporal-test-server"), data_converter=pydantic_data_converter
        ) as env,
        registered(env.client),
        buses.connected(nats_server) as bus,
    ):
        loaded, options = durable.config(tmp_path), WorkflowOptions()
        activities = build(bus, loaded, Secrets(tmp_path, {}), Metrics())

        def worker() -> Worker:
            return Worker(
                env.client,
                task_queue=names.TASK_QUEUE,
                workflows=options.workflows,
                workflow_runner=options.workflow_runner,
                workflow_failure_exception_types=options.workflow_failure_exception_types,
                activities=activities,
                graceful_shutdown_timeout=timedelta(seconds=5),
                max_cached_workflows=0,  # every task replays from the beginning, as after a restart
            )

        drafts = {f"k-{seed}": drawn(random.Random(seed), f"k-{seed}") for seed in range(16)}
        runs: dict[str, dict[str, None]] = {key: {} for key in drafts}

        async def offered(part: int) -> None:
            for key, (_, offers) in drafts.items():
                runs[key] |= await _offered(env, offers[part::3], key)

        await offered(0)  # nobody works while these come
        async with worker():
            await offered(1)
        # the first worker has ended in the middle of whatever it did
        async with worker():
            await offered(2)
            async with env.time_skipping_unlocked():  # type: ignore[attr-defined]
                for key, (of, offers) in drafts.items():
                    workflow_id = join(env.client, key, "random").id
                    handles = [env.client.get_workflow_handle(workflow_id, run_id=run) for run in runs[key]]
                    ended = [await handle.result() for handle in handles]
                    found = [(one["outcome"], tuple(one["came"])) for run in ended for one in run["windows"]]
                    assert found == expected(of, [*offers[0::3], *offers[1::3], *offers[2::3]]), (key, of.condition)


async def _offered(env: WorkflowEnvironment, offers: list[JoinOffer], key: str) -> dict[str, None]:
    """Offer each, and return the runs that took them."""
    runs: dict[str, None] = {}
    for one in offers:
        await offer_to_join(env.client, one)
        runs[(await join(env.client, key, "random").describe()).run_id] = None
    return runs
