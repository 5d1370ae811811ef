"""`holdfast tokens create`: what it prints works when it is pasted."""

import json
from pathlib import Path

from typer.testing import CliRunner

from holdfast.cli.main import app
from holdfast.domain.access import Access, Scope, hash_of
from holdfast.settings.file import load_config


def test_the_printed_lines_are_a_configuration_that_lets_the_token_in(tmp_path: Path) -> None:
    """The token appears once, its hash in the lines, and the lines are valid as they stand."""
    result = CliRunner().invoke(app, ["tokens", "create", "grafana", "--scope", "operate"])
    assert result.exit_code == 0
    (token,) = {word for word in result.output.split() if word.startswith("hf_")}
    lines = [line for line in result.output.splitlines() if line.startswith(("api:", "  tokens:", "    grafana:"))]
    file = tmp_path / "holdfast.yaml"
    file.write_text("version: 1\n" + "\n".join(lines) + "\n")
    assert token not in file.read_text()
    access = Access(load_config(file).config.api.tokens)
    assert access.admit((f"Bearer {token}".encode(),), Scope.OPERATE).name == "grafana"


def test_scripts_get_json() -> None:
    """The same as data."""
    made = json.loads(CliRunner().invoke(app, ["tokens", "create", "ci", "--json"]).output)
    assert (made["scope"], made["hash"]) == ("read", hash_of(made["token"]))


def test_a_name_that_is_none_is_refused() -> None:
    """As the configuration would refuse it."""
    assert CliRunner().invoke(app, ["tokens", "create", "Not a name"]).exit_code == 1
