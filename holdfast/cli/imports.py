"""`holdfast import`: configurations of other systems as holdfast.yaml."""

from pathlib import Path
from typing import Annotated

import typer

from holdfast.argo.manifests import documents, translate
from holdfast.cli.options import JsonOption
from holdfast.cli.output import say, show_json
from holdfast.errors import ErrorCode, RejectedInput

app = typer.Typer(add_completion=False, no_args_is_help=True)

OutputOption = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="FILE", help="Write the file here; one that exists is not overwritten."),
]
ForceOption = Annotated[bool, typer.Option("--force", help="Overwrite the file that --output names.")]


@app.callback()
def _group() -> None:
    """Write holdfast.yaml out of the configuration of another system."""


@app.command()
def argo(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE…", help="Manifests, YAML or JSON; several documents each.")
    ],
    output: OutputOption = None,
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Translate EventSources, Sensors and CronWorkflows of Argo into holdfast.yaml.

    Give the files together: a Sensor reads better when its EventSources are known. What cannot be translated, or means
    something else here, is listed on standard error with the reason, and stands as a comment at its place. Then try
    the result with `holdfast check` and `holdfast triggers test`.
    """
    found = [one for file in files for one in documents(_read(file), str(file))]
    if not found:
        raise RejectedInput(ErrorCode.INPUT_INVALID, "there is no manifest in these files")
    imported = translate(found)
    if output is not None:
        if output.exists() and not force:
            raise RejectedInput(ErrorCode.INPUT_INVALID, f"{output} exists; --force overwrites it")
        output.write_text(imported.text, encoding="utf-8")
    if as_json:
        listed = [
            {"kind": one.kind, "where": one.where, "what": one.what, "reason": one.reason} for one in imported.findings
        ]
        written = [{"section": e.section, "name": e.name, "active": e.active} for e in imported.entries]
        show_json({"findings": listed, "entries": written, "yaml": imported.text})
        return
    if output is None:
        typer.echo(imported.text, nl=False)
    for finding in imported.findings:
        say(finding.show())
    active = sum(entry.active for entry in imported.entries)
    say(f"{active} entries written, {sum(f.kind == 'lost' for f in imported.findings)} pieces not translated")


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RejectedInput(ErrorCode.INPUT_INVALID, f"{file}: cannot be read: {type(error).__name__}") from error
