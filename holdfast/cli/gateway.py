"""`holdfast gateway`: take webhooks in. Flow: settings → configuration → role → **gateway.process.run**."""

import typer

from holdfast.cli.options import ConfigOption
from holdfast.cli.role import run_role
from holdfast.settings.file import load_config
from holdfast.settings.runtime import load_settings

app = typer.Typer(add_completion=False)


@app.command()
def gateway(config: ConfigOption = None) -> None:
    """Take webhooks in: verify each, store it on NATS, answer 2xx only when it is stored.

    It needs NATS alone; while Temporal is away, webhooks are still accepted. Addresses and ports come from the
    environment (docs/configuration.md). Run as many as you like behind one load balancer.
    """
    from gateway.process import run  # noqa: PLC0415 - only where it runs: `holdfast --help` imports this module

    settings = load_settings(config)
    loaded = load_config(settings.config, actions=False)
    run_role("gateway", settings, lambda metrics: run(settings, loaded, metrics))
