"""`holdfast tokens create`: a new access token, shown once, and the lines for holdfast.yaml, which hold its hash."""

from typing import Annotated

import typer

from holdfast.cli.options import JsonOption
from holdfast.cli.output import console, show_json
from holdfast.domain.access import Scope, hash_of
from holdfast.embedded.tokens import new_token
from holdfast.errors import ErrorCode, RejectedInput
from holdfast.ids import NAME

app = typer.Typer(add_completion=False, no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Make access tokens for the HTTP API: where events are, and what was refused."""


@app.command()
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What logs call it, like `grafana`.", show_default=False)],
    scope: Annotated[
        Scope, typer.Option("--scope", help="read looks; operate also handles dead letters; admin may do everything.")
    ] = Scope.READ,
    as_json: JsonOption = False,
) -> None:
    """Make a token and print it, once. Nothing is stored: add the printed lines to holdfast.yaml and restart.

    The file holds only the token's hash. `holdfast up` makes a token of its own, in its data directory: `api-token`.
    """
    if not NAME.fullmatch(name):
        raise RejectedInput(ErrorCode.INPUT_INVALID, f"{name!r} is not a name; use a-z, 0-9, - and _")
    token = new_token()
    if as_json:
        show_json({"name": name, "scope": str(scope), "token": token, "hash": hash_of(token)})
        return
    out = console()
    out.print("The token. It is shown only now; keep it where secrets are kept:\n")
    out.print(f"    {token}\n", markup=False)
    out.print("For holdfast.yaml, on every gateway and worker:\n")
    lines = ("api:", "  tokens:", f"    {name}: {{scope: {scope}, hash: '{hash_of(token)}'}}")
    out.print("\n".join(lines) + "\n", markup=False)
    out.print("Then:\n")
    out.print('    curl -H "Authorization: Bearer $TOKEN" http://GATEWAY/events/SOURCE/ID', markup=False)
