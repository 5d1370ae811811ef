"""`holdfast check`: every error of a configuration at once, before anything runs with it."""

from collections.abc import Iterator
from typing import Annotated

import typer
from rich.markup import escape

from holdfast.cli.options import ConfigOption, JsonOption
from holdfast.cli.output import console, show_json
from holdfast.domain.handshakes import handshakes_of
from holdfast.domain.manners import MANNERS
from holdfast.errors import ErrorCode, RejectedInput
from holdfast.settings.file import ConfigError, HoldfastConfig, load_config
from holdfast.settings.runtime import load_settings
from holdfast.settings.secrets import Secrets

app = typer.Typer(add_completion=False)

StrictOption = Annotated[bool, typer.Option("--strict", help="Warnings are errors: secrets must be readable here.")]


@app.command()
def check(config: ConfigOption = None, as_json: JsonOption = False, strict: StrictOption = False) -> None:
    """Check holdfast.yaml and report every error at once, with file, line and a hint.

    Unknown keys, wrong types, names that lead nowhere and expressions that cannot work are all errors. A secret that
    cannot be read here is a warning, because the file may be meant for another machine; with --strict it is an error.
    """
    file = load_settings(config).config
    try:
        loaded = load_config(file)
    except ConfigError as error:
        if not as_json:
            raise
        listed = [{"path": p.path, "line": p.line, "message": p.message, "hint": p.hint} for p in error.problems]
        show_json({"file": str(file), "ok": False, "problems": listed, "warnings": []})
        raise typer.Exit(1) from None
    warnings = [*unreadable_secrets(loaded.config, Secrets(file.absolute().parent)), *weak_sources(loaded.config)]
    failed = strict and bool(warnings)
    if as_json:
        show_json({"file": str(file), "ok": not failed, "problems": [], "warnings": warnings})
    else:
        for warning in warnings:
            console(stderr=True).print(f"[yellow]warning:[/yellow] {escape(f'{file}: {warning}')}")
        if not failed:
            console().print(escape(f"{file} is sound: {_summary(loaded.config)}"))
    if failed:
        raise typer.Exit(1)


def unreadable_secrets(config: HoldfastConfig, secrets: Secrets) -> Iterator[str]:
    """Name every secret that the configuration refers to and that cannot be read in this environment."""
    for name, source in config.sources.items():
        for reference in source.verify.secrets if source.verify else ():
            yield from _unreadable(f"sources.{name}", reference, secrets)
    for name, trigger in config.triggers.items():
        for action in trigger.run.all_actions:
            for reference in action.references:
                yield from _unreadable(f"triggers.{name}", reference, secrets)
    for name, notifier in config.notifiers.items():
        for reference in notifier.references:
            yield from _unreadable(f"notifiers.{name}", reference, secrets)


def weak_sources(config: HoldfastConfig) -> Iterator[str]:
    """Name what is allowed, but will hardly do what its author expects."""
    for name, source in config.sources.items():
        verify = source.verify
        if verify is None:
            continue
        asked = handshakes_of(source.handshake or verify.preset)
        if source.handshake_token is None and any(handshake.token is not None for handshake in asked):
            yield f"sources.{name}: without `handshake_token` the question of {verify.preset} is never answered"
        if verify.preset == "mtls" and not config.gateway.trusted_proxies:
            yield f"sources.{name}: without `gateway.trusted_proxies` no certificate is ever believed"
        manners = MANNERS[verify.preset]
        if config.gateway.on_unavailable == "reject" and not manners.repeats:
            yield (
                f"sources.{name}: {verify.preset} never repeats by itself, and `gateway.on_unavailable: reject` refuses"
                " its events while the bus is away: they are lost; rather `spool`"
            )
        if verify.preset == "ip-allow-list":
            yield f"sources.{name}: an address alone proves little; add a signature or a token where the sender has one"


def _unreadable(where: str, reference: str, secrets: Secrets) -> Iterator[str]:
    try:
        secrets.resolve(reference)
    except RejectedInput as error:
        if error.code is ErrorCode.CONFIG_INVALID:
            yield f"{where}: {error.message}"


def _summary(config: HoldfastConfig) -> str:
    return ", ".join(
        f"{len(entries)} {noun}{'' if len(entries) == 1 else 's'}"
        for noun, entries in (
            ("source", config.sources),
            ("trigger", config.triggers),
            ("schedule", config.schedules),
            ("escalation", config.escalations),
            ("notifier", config.notifiers),
        )
    )
