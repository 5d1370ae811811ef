"""The command line as a person meets it: exit codes, one-line errors, help that teaches."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from holdfast.cli.main import COMMANDS, app
from holdfast.embedded.starter import example, write_starter

GOOD = """version: 1
sources:
  github:
    verify: {preset: github, secrets: ["env:NO_SUCH_SECRET"]}
triggers:
  a:
    on: github
    run: {log: {}}
"""


def holdfast(*words: str, **options: Any) -> Result:
    """Run a command in this process."""
    return CliRunner().invoke(app, list(words), **options)


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")


def test_help_lists_every_command_with_a_sentence() -> None:
    """A new user learns from `--help` alone what there is."""
    result = holdfast("--help")
    assert result.exit_code == 0
    for name in COMMANDS:
        assert (name in result.output) != (name == "config-docs")
        assert len(holdfast(name, "--help").output) > 200
        assert holdfast(name, "--help").exit_code == 0


def test_wrong_usage_is_exit_code_2() -> None:
    """Scripts can tell a wrong call from a failure."""
    assert holdfast("no-such-command").exit_code == 2
    assert holdfast("check", "--no-such-option").exit_code == 2
    assert holdfast("send").exit_code == 2


def test_a_sound_file_passes_and_names_what_is_in_it() -> None:
    """`check` says in one line that all is well, and warns of a secret that is not on this machine."""
    Path("holdfast.yaml").write_text(GOOD)
    result = holdfast("check")
    assert result.exit_code == 0
    assert "holdfast.yaml is sound: 1 source, 1 trigger, 0 schedules" in result.stdout
    assert "NO_SUCH_SECRET is missing or empty" in result.stderr
    assert holdfast("check", "--strict").exit_code == 1
    assert holdfast("check", "--strict", env={"NO_SUCH_SECRET": "x"}).exit_code == 0


def test_every_problem_is_shown_with_its_line_and_a_hint() -> None:
    """One run shows all that is wrong, and no traceback."""
    Path("bad.yaml").write_text(GOOD.replace("on: github", "on: githup").replace("secrets:", "secretz:"))
    result = holdfast("check", "-c", "bad.yaml")
    assert result.exit_code == 1
    assert "bad.yaml:4: sources.github.verify.secretz: unknown key; did you mean 'secrets'?" in result.stderr
    assert "bad.yaml:7: triggers.a.on: there is no source or schedule 'githup'; did you mean 'github'?" in result.stderr
    assert "Traceback" not in result.output
    listed = json.loads(holdfast("check", "-c", "bad.yaml", "--json").stdout)
    assert listed["ok"] is False
    assert {problem["line"] for problem in listed["problems"]} == {4, 7}


def test_a_missing_file_is_one_line_with_what_to_do() -> None:
    """Expected errors end with exit code 1 and a hint."""
    result = holdfast("check")
    assert result.exit_code == 1
    assert "holdfast.yaml: there is no such file; name another with --config" in result.stderr


def test_version_names_the_servers() -> None:
    """A bug report needs one command."""
    found = json.loads(holdfast("version", "--json").stdout)
    assert found.keys() == {"holdfast", "python", "nats-server", "temporal", "temporal-server"}
    assert all(text[0].isdigit() for text in found.values())


def test_send_to_nobody_says_what_to_do() -> None:
    """Without a gateway the error names the address and the two ways out."""
    write_starter(Path("holdfast.yaml"), Path(".holdfast"))
    result = holdfast("send", "github", "--url", "http://127.0.0.1:1")
    assert result.exit_code == 1
    assert "no gateway answers at http://127.0.0.1:1/hooks/github" in result.stderr
    assert "holdfast up" in result.stderr
    unknown = holdfast("send", "gitlab")
    assert unknown.exit_code == 1
    assert "there is no source 'gitlab'; the configuration has: github" in unknown.stderr


def test_the_starter_passes_the_strict_check_and_keeps_secrets_private() -> None:
    """The first configuration works as it is written, wherever the data directory is."""
    write_starter(Path("holdfast.yaml"), Path("elsewhere/data"))
    assert holdfast("check", "--strict").exit_code == 0
    secrets = list(Path("elsewhere/data/secrets").iterdir())
    assert len({path.read_text() for path in secrets}) == 4
    assert all(path.stat().st_mode & 0o077 == 0 for path in secrets)
    with pytest.raises(FileExistsError):
        write_starter(Path("holdfast.yaml"), Path("elsewhere/data"))


def test_the_example_beside_the_code_is_the_packaged_one() -> None:
    """What people read in examples/ is what `holdfast up` writes."""
    assert (Path(__file__).parents[3] / "examples" / "holdfast.yaml").read_text() == example()
