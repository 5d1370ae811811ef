"""`holdfast escalations`: who is being told of failures at the moment, and saying that one looks after them."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypeVar

import typer
from rich.markup import escape
from temporalio.client import Client

from holdfast.cli.clients import open_temporal, workflow_link
from holdfast.cli.options import DataDirOption, JsonOption
from holdfast.cli.output import console, show_json
from holdfast.cli.person import ByOption, person
from holdfast.clock import rfc3339
from holdfast.contracts.escalation_runs import EscalationView
from holdfast.contracts.moves import AcknowledgeInput
from holdfast.settings.process import ProcessSettings
from holdfast.settings.runtime import load_settings
from holdfast.temporal import escalations

T = TypeVar("T")

app = typer.Typer(add_completion=False, no_args_is_help=True)

IdArgument = Annotated[
    str,
    typer.Argument(metavar="ID", help="Workflow id of the escalation, as `list` shows it.", show_default=False),
]


@app.callback()
def _group() -> None:
    """See who is told of failures, and quiet it.

    Failures of one trigger are one group, which tells people tier by tier (`escalations` in holdfast.yaml) until
    somebody acknowledges: the group here, or any of its cases with `holdfast dead-letters acknowledge`.
    """


@app.command(name="list")
def list_groups(
    everything: Annotated[bool, typer.Option("--all", help="Also those that have recovered.")] = False,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, max=10_000, help="At most this many.")] = 100,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """List groups of failures that are not settled, the newest first."""
    found = _with_client(
        load_settings(None, data_dir),
        lambda client: escalations.list_escalations(client, everything=everything, limit=limit),
    )
    if as_json:
        show_json([one.plain() for one in found])
        return
    for one in found:
        console().print(escape(f"{one.began_at:%Y-%m-%d %H:%M:%SZ}  {one.state:<12}  {one.workflow_id}"))
    if not found:
        console().print("No escalations." if everything else "No escalation is under way.")
    else:
        console(stderr=True).print(f"{len(found)} shown. Who was told, and what comes: holdfast escalations show ID")


@app.command()
def show(group: IdArgument, data_dir: DataDirOption = None, as_json: JsonOption = False) -> None:
    """Show one group: how many failures, who was told when, and what comes next."""
    settings = load_settings(None, data_dir)
    _print(settings, lambda client: escalations.show_escalation(client, group), as_json=as_json)


@app.command()
def acknowledge(
    group: IdArgument,
    note: Annotated[str, typer.Option("--note", metavar="TEXT", help="What you know already.")] = "",
    by: ByOption = None,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say that you look after it: nobody else is told of what has failed until now.

    The cases stay open: handle them with `holdfast dead-letters`.
    """
    settings = load_settings(None, data_dir)
    given = AcknowledgeInput(by=person(by, settings), note=note)
    _print(settings, lambda client: escalations.acknowledge_escalation(client, group, given), as_json=as_json)


def _with_client(settings: ProcessSettings, act: Callable[[Client], Awaitable[T]]) -> T:
    async def run() -> T:
        return await act(await open_temporal(settings))

    return asyncio.run(run())


def _print(settings: ProcessSettings, act: Callable[[Client], Awaitable[EscalationView]], *, as_json: bool) -> None:
    async def run(client: Client) -> tuple[EscalationView, str]:
        return await act(client), client.namespace

    view, namespace = _with_client(settings, run)
    if as_json:
        show_json(view)
    else:
        console().print(escape("\n".join(_page(view, workflow_link(settings, namespace, view.id)))))


def _page(view: EscalationView, link: str) -> list[str]:
    """Return what a terminal shows."""
    facts: list[tuple[str, Any]] = [
        ("group", f"{view.group} (escalation {view.escalation})"),
        ("state", view.state),
        ("failures", f"{view.failures}; {view.open} open, {view.waiting} not acknowledged"),
        ("since", rfc3339(view.since) if view.since else ""),
        ("errors", ", ".join(f"{code}: {count}" for code, count in view.codes.items())),
        ("acknowledged", f"{rfc3339(view.acknowledged_at)} by {view.acknowledged_by}" if view.acknowledged_at else ""),
        ("next", rfc3339(view.next) if view.next else "nothing, until something is reported"),
    ]
    lines = [f"{name:<13} {value}" for name, value in facts if value]
    lines += ["", "Tiers:"]
    for tier in view.tiers:
        told = f"told {tier.times} times, last {rfc3339(tier.last)}" if tier.last else "not told"
        lines.append(f"  {tier.tier}  {', '.join(tier.notify)}: {told}")
    if view.samples:
        lines += ["", "Cases:", *(f"  {one.case}  {one.code}: {one.message}" for one in view.samples)]
    if view.log:
        lines += ["", "What was done:", *(f"  {rfc3339(one.at)} {one.text}" for one in view.log[-20:])]
    return [*lines, "", link]
