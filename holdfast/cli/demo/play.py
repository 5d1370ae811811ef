"""Playing the demo: a fresh embedded stack, the scenes in order, and one line that says how it went.

Exit code 0 only if every scene kept its promise and nothing was lost.
"""

import tempfile
import time
from pathlib import Path

import httpx
from rich.console import Console

from holdfast.cli.demo.scenes import SCENES
from holdfast.cli.demo.stage import SECRET, DemoError, Stage
from holdfast.contracts import names
from holdfast.embedded.sink import Sink
from holdfast.embedded.stack import EmbeddedStack
from holdfast.errors import HoldfastError

CONFIG = """version: 1
gateway: {{on_unavailable: reject}}
sources:
  github:
    verify: {{preset: github, secrets: ["file:github-secret"]}}
triggers:
  first:
    on: github
    when: event.data.ref == "refs/heads/first"
    run: {{http: {{url: "{sink}/first"}}}}
  flaky:
    on: github
    when: event.data.ref == "refs/heads/flaky"
    run: {{http: {{url: "{sink}/flaky"}}}}
    retry: {{max_attempts: 5, initial: 200ms}}
  refused:
    on: github
    when: event.data.ref == "refs/heads/refused"
    run: {{http: {{url: "{sink}/refused"}}}}
  tick:
    on: heartbeat
    run: {{http: {{url: "{sink}/tick"}}}}
schedules:
  heartbeat:
    every: 1s
    paused: true
    event: {{type: heartbeat.ticked, data: '{{"at": tick.time}}'}}
bus:
  streams:
    events: {{max_bytes: 64MiB}}
    dead_letters: {{max_bytes: 64MiB}}
    unmatched: {{max_bytes: 16MiB}}
"""


async def play(console: Console) -> int:
    """Play every scene; return the exit code."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="holdfast-demo-") as directory:
        home, sink = Path(directory), Sink()
        await sink.start()
        (home / "github-secret").write_text(SECRET)
        (home / "holdfast.yaml").write_text(CONFIG.format(sink=sink.url))
        stack = EmbeddedStack(home / "data", home / "holdfast.yaml")
        try:
            await stack.start()
            console.print(f"The stack runs: gateway {stack.gateway_url}, Temporal UI {stack.ui_url}", soft_wrap=True)
            async with httpx.AsyncClient(timeout=10, trust_env=False) as http:
                stage = Stage(stack, sink, console, http)
                kept = await _scenes(stage)
            line, balanced = account(stage)
        except (DemoError, HoldfastError) as error:
            console.print(f"[red]The stack did not play: {error}[/]")
            return 1
        finally:
            await stack.stop()
            await sink.stop()
    console.print(f"took {time.monotonic() - began:.0f} s")
    console.print(line, highlight=False, soft_wrap=True)
    return 0 if kept and balanced else 1


async def _scenes(stage: Stage) -> bool:
    kept = True
    for scene in SCENES:
        stage.console.print(f"\n[bold]{(scene.__doc__ or '').splitlines()[0]}[/]")
        try:
            await scene(stage)
        except DemoError as error:
            stage.say(f"[red]✗ {error}[/]")
            kept = False
    return kept


def account(stage: Stage) -> tuple[str, bool]:
    """Count from Temporal and the ledger of answers; return the closing line and whether it adds up.

    delivered: events with a completed delivery. dead_lettered: deliveries that failed. redriven: cases resolved.
    lost: events answered 202 and ticks published that have neither.
    """
    found = stage.deliveries("github") + stage.deliveries("heartbeat")
    ticks = [w for w in stage.workflows(f'WorkflowType="{names.SCHEDULED_EVENT}"') if _is(w, "COMPLETED")]
    done = {_event(w) for w in found if _is(w, "COMPLETED")}
    dead = {_event(w) for w in found if _is(w, "FAILED")}
    resolved = stage.workflows(f'WorkflowType="{names.DEAD_LETTER}" AND {names.SA_STATE}="resolved"')
    lost_ticks = len(ticks) - len({e for e in done | dead if e not in stage.accepted})
    lost = len(stage.accepted - done - dead) + max(0, lost_ticks)
    line = (
        f"delivered={len(done)} dead_lettered={len(dead)} redriven={len(resolved)}"
        f" duplicates={stage.duplicates} lost={lost}"
    )
    # eight accepted webhooks (a, b, c, d, three of f, g) and the ticks; c failed once and was redriven; d came thrice
    expected = (len(stage.accepted) == 8, len(done) == 8 + len(ticks), len(dead) == 1, len(resolved) == 1)
    return line, lost == 0 and stage.duplicates == 2 and all(expected)


def _event(workflow: dict[str, object]) -> str:
    """Event id of a delivery: the last part of its workflow id, without the mark of a redrive."""
    execution = workflow["execution"]
    identity = str(execution["workflowId"]) if isinstance(execution, dict) else ""
    return identity.rsplit("/", 1)[-1].partition(":r")[0]


def _is(workflow: dict[str, object], status: str) -> bool:
    return workflow["status"] == f"WORKFLOW_EXECUTION_STATUS_{status}"
