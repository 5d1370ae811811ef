"""`holdfast demo`: the main job played against real servers, each step checked.

Flow: **demo** → `play.py` (a fresh stack, the account) → `scenes.py` (a to h) → `stage.py` (what they share).
"""

import asyncio

import typer

app = typer.Typer(add_completion=False)


@app.command()
def demo() -> None:
    """Play the main job against a fresh stack and check every step: deliver, retry, dead-letter, redrive, recover.

    It runs on free ports in a temporary directory, touches nothing else, and takes about 15 seconds. Exit code 1 where
    anything is not as promised.
    """
    from holdfast.cli.demo.play import play  # noqa: PLC0415 - `--help` must not load the servers' code
    from holdfast.cli.output import console  # noqa: PLC0415

    raise typer.Exit(asyncio.run(play(console())))
