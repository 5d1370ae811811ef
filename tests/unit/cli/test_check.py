"""`holdfast check` says what is allowed but will hardly do what its author expects."""

from pathlib import Path

from typer.testing import CliRunner

from holdfast.cli.main import app


def test_a_sender_that_cannot_work_as_it_stands_is_a_warning(tmp_path: Path) -> None:
    """A question nobody can answer, a certificate nobody believes, and an address as the only proof."""
    (tmp_path / "s").write_text("x")
    file = tmp_path / "holdfast.yaml"
    file.write_text(
        """version: 1
sources:
  meta: {verify: {preset: whatsapp, secrets: ["file:s"]}}
  partner: {verify: {preset: mtls, header: X-Client-Cert, names: [a.example]}}
  office: {verify: {preset: ip-allow-list, allow_ips: [192.0.2.0/24]}}
  github: {verify: {preset: github, secrets: ["file:s"]}}
"""
    )
    result = CliRunner().invoke(app, ["check", "--config", str(file)])
    assert result.exit_code == 0
    said = " ".join(result.stderr.split())
    for expected in ("`handshake_token`", "`gateway.trusted_proxies`", "sources.office"):
        assert expected in said
    assert "sources.github" not in said
    assert CliRunner().invoke(app, ["check", "--strict", "--config", str(file)]).exit_code == 1
