"""`holdfast worker`: events become deliveries. Flow: settings → configuration → role → **workers.worker.run**."""

import typer

from holdfast.cli.options import ConfigOption
from holdfast.cli.role import run_role
from holdfast.settings.file import load_config
from holdfast.settings.runtime import load_settings

app = typer.Typer(add_completion=False)


@app.command()
def worker(config: ConfigOption = None) -> None:
    """Turn stored events into Temporal workflows, run their deliveries, and keep the cases of dead letters.

    Addresses and ports come from the environment (docs/configuration.md). Run as many as you like: they share the
    work.
    """
    from workers.worker import run  # noqa: PLC0415 - only where it runs: `holdfast --help` imports this module

    settings = load_settings(config)
    loaded = load_config(settings.config)
    run_role("worker", settings, lambda metrics: run(settings, loaded, metrics))
