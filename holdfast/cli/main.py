"""The `holdfast` command. Exit codes: 0 done, 1 it failed (the reason is one line on standard error), 2 wrong usage.

Commands are imported when they are called: the gateway must not carry the Temporal client in its memory.
"""

import importlib
import logging
import os
import re
import sys
from typing import Any

import typer
from typer.core import TyperGroup

from holdfast.cli.output import show_error
from holdfast.errors import HoldfastError

COMMANDS = {
    "up": "holdfast.cli.up",
    "gateway": "holdfast.cli.gateway",
    "worker": "holdfast.cli.worker",
    "check": "holdfast.cli.check",
    "send": "holdfast.cli.send",
    "verify": "holdfast.cli.verify",
    "senders": "holdfast.cli.senders",
    "events": "holdfast.cli.events",
    "triggers": "holdfast.cli.triggers",
    "joins": "holdfast.cli.joins",
    "targets": "holdfast.cli.targets",
    "queues": "holdfast.cli.queues",
    "import": "holdfast.cli.imports",
    "dead-letters": "holdfast.cli.dead_letters",
    "bulk": "holdfast.cli.bulk",
    "replay": "holdfast.cli.replay",
    "rejected": "holdfast.cli.rejected",
    "audit": "holdfast.cli.audit",
    "tokens": "holdfast.cli.tokens",
    "escalations": "holdfast.cli.escalations",
    "notifiers": "holdfast.cli.notifiers",
    "schedules": "holdfast.cli.schedules",
    "sweep": "holdfast.cli.sweep",
    "custody": "holdfast.cli.custody",
    "bus": "holdfast.cli.bus",
    "demo": "holdfast.cli.demo",
    "version": "holdfast.cli.version",
    "config-docs": "holdfast.cli.config_docs",
}
"""Name to module; each has an `app` with one command, or with a group of commands. In the order of `--help`."""

INTERRUPTED = 130  # the shell's own code for Ctrl-C


class Commands(TyperGroup):
    """The commands of COMMANDS, imported on demand; expected errors become one line and exit code 1."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - the signature is typer's
        """Return the names, in order."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002 - the signature is typer's
        """Import one command; None where there is none of that name."""
        module = COMMANDS.get(cmd_name)
        if module is None:
            return None
        command = typer.main.get_command(importlib.import_module(module).app)
        command.name = cmd_name
        for one in (command, *getattr(command, "commands", {}).values()):
            one.help = _flowing(one.help)
        return command

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was asked for."""
        try:
            return super().invoke(ctx)
        except HoldfastError as error:
            show_error(error)
            raise typer.Exit(1) from None
        except KeyboardInterrupt:
            raise typer.Exit(INTERRUPTED) from None


def _flowing(text: str | None) -> str | None:
    """Join the lines of each paragraph, so that a terminal breaks them where it ends."""
    return text and re.sub(r"(?<!\n)\n(?!\n)", " ", text)


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def _holdfast() -> None:
    """Durable webhooks: every event answered 2xx is delivered once, or lands visibly in the dead letters.

    [bold]holdfast up[/bold] runs everything on this machine and prints a curl line to try.

    [bold]holdfast send[/bold] sends an event, [bold]holdfast events show[/bold] says where it is now.

    [bold]holdfast rejected list[/bold] says why a sender's requests are refused.

    [bold]holdfast dead-letters[/bold] lists what failed for good, and delivers it again once it is mended.
    """


def main() -> None:
    """Run the command line and end the process."""
    # what a command has to say it prints; the roles set logging up for themselves
    logging.getLogger().addHandler(logging.NullHandler())
    code: int | str | None = 0
    try:
        app()
    except SystemExit as ended:
        code = ended.code
    sys.stdout.flush()
    sys.stderr.flush()
    if "temporalio" in sys.modules and (code is None or isinstance(code, int)):
        # threads of the SDK's core may call into an interpreter that is being taken down, which aborts the process
        # ("PyGILState_Release: thread state must be current", temporalio 1.35); everything of ours is closed by now
        os._exit(code or 0)
    sys.exit(code)


if __name__ == "__main__":
    main()
