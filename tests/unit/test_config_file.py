from pathlib import Path

import pytest

from holdfast.settings.file import ConfigError, load_config
from holdfast.settings.secrets import Secrets

GOOD = """version: 1
sources:
  github:
    verify: {preset: github, secrets: ["env:GITHUB_WEBHOOK_SECRET"]}
triggers:
  deploy:
    on: github
    when: event.type == "push" && event.data.ref == "refs/heads/main"
    run: {workflow: DeployService, task_queue: deploys, args: ['{"sha": event.data.after}']}
    retry: {max_attempts: 8, initial: 1s, factor: 2, max: 5m, give_up_after: 1h}
schedules:
  nightly:
    cron: ["0 3 * * *", "@daily"]
    timezone: Europe/Berlin
    event: {type: report.requested, data: '{"day": tick.date}'}
bus:
  streams:
    events: {max_bytes: 10GiB, archive_for: 7d}
"""


def problems(tmp_path: Path, text: str) -> list[str]:
    """What is wrong with a file, as a person reads it: `line: path: message; hint`."""
    file = tmp_path / "holdfast.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_config(file)
    return [p.show(Path("f")).removeprefix("f:") for p in caught.value.problems]


def test_a_good_file_loads(tmp_path: Path) -> None:
    """The example of the design is accepted, `on:` is a key and not a boolean, sizes and durations have units."""
    file = tmp_path / "holdfast.yaml"
    file.write_text(GOOD)
    loaded = load_config(file)
    assert loaded.config.triggers["deploy"].on == ("github",)
    assert loaded.config.bus.streams.events.max_bytes == 10 * 1024**3
    assert len(loaded.config.schedules["nightly"].specs) == 2


def test_every_error_is_reported_at_once_with_its_line(tmp_path: Path) -> None:
    """One run shows all that is wrong, in the order of the file, each with line and hint."""
    text = (
        GOOD.replace("    on: github", "    on: githb")
        .replace("preset: github", "prset: github")
        .replace("&&", "&& &&")
        .replace("5m", "5 minutes")
        .replace("timezone: Europe/Berlin", "timezone: Mars/Base")
        .replace("bus:", "buss:")
    )
    found = problems(tmp_path, text)
    assert [line.split(":")[0] for line in found] == ["4", "4", "7", "8", "10", "14", "16"]
    assert "did you mean 'preset'?" in " ".join(found)
    assert "did you mean 'github'?" in " ".join(found)
    assert "did you mean 'bus'?" in " ".join(found)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('"env:GITHUB_WEBHOOK_SECRET"', '"hunter2"', "never written into the configuration"),
        ("verify: {preset: github,", "nope: {preset: github,", "dangerous_unverified"),
        ("initial: 1s", "initial: 1", "write a number with a unit"),
        ("task_queue: deploys, ", "", "task_queue"),
        ("  github:\n", "  Git Hub:\n", "not a name"),
        ("version: 1", "version: 2", "1"),
        ("  nightly:", "  github:", "same name"),
        ('["0 3 * * *", "@daily"]', '["0 3 * *"]', "has 4 fields"),
        ("triggers:", "triggers: {}\ntriggers:", "not YAML"),
        ("version: 1", "version: [", "not YAML"),
    ],
)
def test_an_error_says_what_to_do(tmp_path: Path, old: str, new: str, says: str) -> None:
    """Each mistake gets a text that names the way out."""
    assert GOOD.replace(old, new) != GOOD
    assert says in " ".join(problems(tmp_path, GOOD.replace(old, new)))


def test_a_secret_written_into_the_file_is_not_repeated(tmp_path: Path) -> None:
    """The message about a misplaced secret does not contain the secret."""
    text = GOOD.replace('"env:GITHUB_WEBHOOK_SECRET"', '"hunter2-canary"')
    assert "hunter2-canary" not in " ".join(problems(tmp_path, text))


def test_a_missing_file_says_how_to_begin(tmp_path: Path) -> None:
    """No traceback for the first mistake everybody makes."""
    with pytest.raises(ConfigError, match="no such file"):
        load_config(tmp_path / "none.yaml")


def test_secrets_come_from_environment_and_files(tmp_path: Path) -> None:
    """Both kinds are read, a trailing newline of a file is dropped, and the value does not show in its text."""
    (tmp_path / "s").write_text("from-file\n")
    secrets = Secrets(tmp_path, {"A": "from-env"})
    assert secrets.resolve("env:A").get_secret_value() == "from-env"
    assert secrets.resolve("file:s").get_secret_value() == "from-file"
    assert "from-env" not in repr(secrets.resolve("env:A"))
