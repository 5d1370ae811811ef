"""The sections `escalations` and `notifiers`: both forms, every reference checked, no secret written down."""

from pathlib import Path

import pytest

from holdfast.settings.file import ConfigError, load_config

GOOD = """version: 1
sources: {shop: {dangerous_unverified: true}}
triggers:
  bill: {on: shop, run: {log: {}}, dead_letter: {escalation: oncall}}
escalations:
  oncall:
    - {after: 0s, notify: [slack-ops]}
    - {after: 15m, notify: [pagerduty], repeat: 30m, until: acknowledged}
  default:
    tiers: [{notify: mail}]
    quiet: {from: "22:00", to: "07:00", timezone: Europe/Berlin, days: [mon, tue]}
    group_by: source
notifiers:
  slack-ops: {slack: {url: "env:SLACK_WEBHOOK"}}
  pagerduty: {pagerduty: {routing_key: "env:PD_KEY"}}
  mail: {email: {host: mail.example, from: holdfast@example.com, to: ops@example.com}}
  note: log
"""


def load(tmp_path: Path, text: str) -> list[str]:
    """What is wrong with a file, `line: path: message; hint`."""
    file = tmp_path / "holdfast.yaml"
    file.write_text(text)
    try:
        load_config(file)
    except ConfigError as error:
        return [p.show(Path("f")).removeprefix("f:") for p in error.problems]
    return []


def test_both_forms_are_taken(tmp_path: Path) -> None:
    """A list of tiers, or a mapping with them and more."""
    assert load(tmp_path, GOOD) == []
    config = load_config(tmp_path / "holdfast.yaml").config
    assert [tier.notify for tier in config.escalations["oncall"].tiers] == [("slack-ops",), ("pagerduty",)]
    assert config.escalations["default"].quiet[0].days == ("mon", "tue")
    assert config.notifiers["note"].kind == "log"


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ("notify: [slack-ops]", "notify: [slack-op]", 7, "did you mean 'slack-ops'?"),
        ("escalation: oncall", "escalation: oncal", 4, "did you mean 'oncall'?"),
        ("repeat: 30m", "repeat: 30s", 8, "at least 1m"),
        ("after: 0s", "after: 20m", 6, "order of `after`"),
        ("until: acknowledged", "until: done", 8, "acknowledged"),
        ("Europe/Berlin", "Mars/Base", 11, "IANA time zone"),
        ("group_by: source", "groupby: source", 12, "did you mean 'group_by'?"),
        ('"env:PD_KEY"', '"R0UT1NG"', 15, "never written into the configuration"),
        ("slack: {url", "slak: {url", 14, "did you mean 'slack'?"),
        ("to: ops@example.com", 'to: "ops@example.com\\nBcc: x@example.com"', 16, "is not an address"),
        (
            "host: mail.example,",
            "host: mail.example, username: a, password: 'env:P', security: none,",
            16,
            "encryption",
        ),
        ("host: mail.example,", "host: mail.example, username: a,", 16, "belong together"),
        ("note: log", "note: {log: {}, nats: {subject: a}}", 17, "exactly one of"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path: Path, old: str, new: str, line: int, said: str) -> None:
    """Names that lead nowhere, times that cannot be, secrets in the open, headers in addresses."""
    found = load(tmp_path, GOOD.replace(old, new))
    assert any(one.startswith(f"{line}:") and said in one for one in found), found
    assert not any("R0UT1NG" in one for one in found)
