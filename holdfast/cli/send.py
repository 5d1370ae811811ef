"""`holdfast send`: be the sender. Flow: configuration → request → **POST** → what the gateway answered."""

import asyncio
import sys
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer
from rich.markup import escape

from holdfast.cli.cloudevent import Mode
from holdfast.cli.options import ConfigOption, DataDirOption, JsonOption
from holdfast.cli.output import console, say, show_json
from holdfast.cli.request import OutgoingRequest, Sender, Wish, find_source, takes_id
from holdfast.clock import SystemClock
from holdfast.errors import ErrorCode, RejectedInput, Unavailable
from holdfast.settings.file import load_config
from holdfast.settings.runtime import load_settings
from holdfast.settings.secrets import Secrets

TIMEOUT = 10.0  # seconds; the gateway answers within 2.5
IN_FLIGHT = 16

app = typer.Typer(add_completion=False)


@app.command()
def send(  # noqa: PLR0913, PLR0917 - one parameter per option
    source: Annotated[
        str, typer.Argument(metavar="SOURCE", help="Name of a source in the configuration.", show_default=False)
    ],
    data: Annotated[
        str | None,
        typer.Option(
            "--data", "-d", metavar="FILE", help="File with the body, or - for standard input. Default: a sample."
        ),
    ] = None,
    event_type: Annotated[
        str | None, typer.Option("--type", "-t", metavar="TYPE", help="The event's type, like push.")
    ] = None,
    event_id: Annotated[
        str | None,
        typer.Option("--id", metavar="ID", help="The delivery id, where the sender gives one. Default: a new one."),
    ] = None,
    header: Annotated[
        list[str] | None,
        typer.Option("--header", "-H", metavar="NAME:VALUE", help="A further header, `name: value`. Repeatable."),
    ] = None,
    param: Annotated[
        list[str] | None,
        typer.Option("--param", metavar="NAME=VALUE", help="A part of the route, `tenant=acme`. Repeatable."),
    ] = None,
    cloudevent: Annotated[
        Mode | None,
        typer.Option("--cloudevent", metavar="MODE", help="Send a CloudEvent: binary, structured or batch."),
    ] = None,
    count: Annotated[
        int, typer.Option("--count", "-n", metavar="N", min=1, max=100_000, help="How many events to send.")
    ] = 1,
    url: Annotated[
        str | None, typer.Option("--url", metavar="URL", help="The gateway's address. Default: that of this machine.")
    ] = None,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Sign a webhook as the sender of SOURCE would, POST it, and show the answer.

    So any source can be tried without its provider. The secret is read where the configuration says.

    [bold]holdfast send github --type push[/bold]   a sample, as GitHub would send it

    [bold]holdfast send github -d event.json --id same -n 3[/bold]   one event and two duplicates

    [bold]holdfast send orders --cloudevent structured --type order.paid[/bold]   a CloudEvent, signed like any body

    [bold]echo '{"type": "ping"}' | holdfast send ops -d -[/bold]   a body from elsewhere
    """
    settings = load_settings(config, data_dir)
    loaded = load_config(settings.config)
    chosen = find_source(loaded.config.sources, source)
    if event_id is not None and cloudevent is None and not takes_id(chosen):
        raise RejectedInput(
            ErrorCode.INPUT_INVALID, f"--id: {source!r} takes the id from its request, not from a header of the sender"
        )
    wish = Wish(
        event_type, event_id, _read(data), _pairs(header, ":", "--header"), _pairs(param, "=", "--param"), cloudevent
    )
    gateway = url or f"http://{settings.gateway_host}:{settings.gateway_port}"
    sender, clock = Sender(source, chosen, gateway, Secrets(loaded.file.absolute().parent)), SystemClock()
    requests = (sender.build(wish, clock.now()) for _ in range(count))
    answers = asyncio.run(_post_all(requests, count))
    if as_json:
        show_json(answers[0] if count == 1 else answers)
    elif count == 1:
        _show(source, answers[0])
    else:
        _summarise(answers)
    if any(not 200 <= answer["status"] < 300 for answer in answers):
        raise typer.Exit(1)


async def _post_all(requests: Any, count: int) -> list[dict[str, Any]]:
    answers: list[dict[str, Any]] = []
    async with httpx.AsyncClient(trust_env=False, timeout=TIMEOUT) as client:

        async def work() -> None:
            for request in requests:
                answer = await _post(client, request)
                answers.append(answer)

        # one generator shared by all: each takes the next request when it is free
        await asyncio.gather(*(work() for _ in range(min(count, IN_FLIGHT))))
    return answers


async def _post(client: httpx.AsyncClient, request: OutgoingRequest) -> dict[str, Any]:
    try:
        response = await client.request(request.method, request.url, headers=request.headers, content=request.body)
    except httpx.HTTPError as error:
        raise Unavailable(
            ErrorCode.TARGET_UNREACHABLE,
            f"no gateway answers at {request.url} ({type(error).__name__}); start one with `holdfast up`, or name"
            " another with --url",
        ) from error
    return _answer(response)


def _answer(response: httpx.Response) -> dict[str, Any]:
    try:
        body = response.json()
    except ValueError:
        body = None
    found = body if isinstance(body, dict) else {}
    location = response.headers.get("location", "")
    return {
        "status": response.status_code,
        "id": found.get("id") or (location.rsplit("/", 1)[-1] or None),
        "duplicate": bool(found.get("duplicate", False)),
        "code": found.get("code"),
        "detail": found.get("detail") or (response.text[:200] if not response.is_success else None),
        "retry_after": response.headers.get("retry-after"),
    }


def _show(source: str, answer: dict[str, Any]) -> None:
    out = console()
    if not 200 <= answer["status"] < 300:
        again = f"; try again in {answer['retry_after']} s" if answer["retry_after"] else ""
        say(f"{answer['status']} {answer['code'] or ''}: {answer['detail'] or 'no reason given'}{again}")
        return
    known = "duplicate: this event was accepted before" if answer["duplicate"] else "accepted"
    out.print(escape(f"{answer['status']} {known}, id {answer['id']}"))
    if answer["id"]:
        out.print(escape(f"look at it: holdfast events show {source} {answer['id']}"))


def _summarise(answers: list[dict[str, Any]]) -> None:
    counts: dict[str, int] = {}
    for answer in answers:
        words = [str(answer["status"]), "duplicate" if answer["duplicate"] else "", answer["code"] or ""]
        key = " ".join(word for word in words if word)
        counts[key] = counts.get(key, 0) + 1
    for key, number in sorted(counts.items()):
        console().print(escape(f"{number} x {key}"))


def _read(data: str | None) -> bytes | None:
    if data is None:
        return None
    if data == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(data).read_bytes()
    except OSError as error:
        raise RejectedInput(ErrorCode.INPUT_INVALID, f"--data {data}: {error.strerror or error}") from error


def _pairs(given: list[str] | None, separator: str, option: str) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for text in given or ():
        name, found, value = text.partition(separator)
        if not found or not name.strip():
            raise RejectedInput(ErrorCode.INPUT_INVALID, f"{option} {text!r}: write it as name{separator}value")
        pairs[name.strip()] = value.strip()
    return pairs
