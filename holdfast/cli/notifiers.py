"""`holdfast notifiers`: which there are, and whether one works: a test notification, sent from this machine."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer
from rich.markup import escape

from activities.http import new_client
from activities.notifiers.texts import Links
from activities.notify import Sender
from holdfast.bus.connect import Bus
from holdfast.cli.clients import CONNECT_WITHIN
from holdfast.cli.options import ConfigOption, DataDirOption, JsonOption
from holdfast.cli.output import console, show_json
from holdfast.clock import SystemClock, rfc3339
from holdfast.contracts.notifications import Notification
from holdfast.domain.incidents import Sample
from holdfast.domain.notifiers import MIRRORS
from holdfast.errors import ErrorCode, RejectedInput
from holdfast.settings.file import LoadedConfig, load_config
from holdfast.settings.process import ProcessSettings
from holdfast.settings.runtime import load_settings
from holdfast.settings.secrets import Secrets

WITHIN = timedelta(seconds=20)

app = typer.Typer(add_completion=False, no_args_is_help=True)


@app.callback()
def _group() -> None:
    """See how people can be told of failures, and try it."""


@app.command(name="list")
def list_notifiers(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """List the notifiers of holdfast.yaml, and the escalations that use each."""
    loaded = load_config(load_settings(config).config)
    rows = [
        {
            "name": name,
            "kind": notifier.kind,
            "escalations": [
                escalation
                for escalation, policy in loaded.config.escalations.items()
                if any(name in tier.notify for tier in policy.tiers)
            ],
        }
        for name, notifier in loaded.config.notifiers.items()
    ]
    if as_json:
        show_json(rows)
    elif not rows:
        console().print("No notifiers: declare them under `notifiers` in holdfast.yaml.")
    else:
        for row in rows:
            used = ", ".join(row["escalations"]) or "no escalation"
            console().print(escape(f"{row['name']:<20} {row['kind']:<10} used by {used}"))


@app.command(name="test")
def send_test(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The notifier, as holdfast.yaml calls it.")],
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Send a test notification, once. Exit code 0: the other side accepted it.

    At PagerDuty and Opsgenie it opens an incident of the lowest urgency and closes it again. Secrets are read from
    this terminal's environment.
    """
    settings = load_settings(config, data_dir)
    loaded = load_config(settings.config)
    if name not in loaded.config.notifiers:
        known = ", ".join(sorted(loaded.config.notifiers)) or "none"
        raise RejectedInput(ErrorCode.NOT_FOUND, f"there is no notifier {name!r} in {settings.config}; known: {known}")
    said = asyncio.run(_send(settings, loaded, name))
    console().print(escape(f"{name}: {said}"))


async def _send(settings: ProcessSettings, loaded: LoadedConfig, name: str) -> str:
    kind, bus = loaded.config.notifiers[name].kind, Bus.from_settings(settings, "holdfast-cli")
    secrets = Secrets(loaded.file.resolve().parent)
    links = Links(settings.temporal_ui_url, settings.temporal_namespace or "default")
    given = _notification(name)
    if kind == "nats":
        await bus.start()
        await bus.connected(CONNECT_WITHIN)
    try:
        async with asyncio.timeout(WITHIN.total_seconds()), new_client() as http:
            sender = Sender(loaded.config.notifiers, secrets, http, bus, SystemClock())
            said = await sender.send(given, links)
            if kind in MIRRORS:
                await sender.send(given.model_copy(update={"about": "recovered", "id": f"{given.id}/end"}), links)
    finally:
        if kind == "nats":
            await bus.close()
    return said


def _notification(name: str) -> Notification:
    now = datetime.now(UTC)
    key = f"holdfast-test/{name}/{rfc3339(now)}"
    case = Sample("dead-letter/test", now, "target.refused", "HTTP 404: an example", "test", "event-1", "test.event")
    return Notification(
        id=key,
        notifier=name,
        about="test",
        escalation="test",
        group="test",
        incident=key,
        workflow_id="escalation/test",
        at=now,
        since=now,
        waiting=1,
        open=1,
        failures=1,
        codes={"target.refused": 1},
        samples=(case,),
        source="test",
    )
