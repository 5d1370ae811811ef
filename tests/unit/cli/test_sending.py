"""What `holdfast send` and the curl line make is what the gateway's verifier takes."""

import json
import shlex
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from holdfast.cli.cloudevent import Mode
from holdfast.cli.curl import _line, find_line
from holdfast.cli.request import Sender, Wish
from holdfast.domain.cloudevents import read_batch, read_binary, read_structured
from holdfast.domain.presets import preset_of, verifier_of
from holdfast.domain.schemes import SignedRequest
from holdfast.domain.signatures import Refused, Verified, Verifier
from holdfast.domain.sources import SourceConfig, VerifyConfig
from holdfast.embedded.starter import write_starter
from holdfast.errors import RejectedInput
from holdfast.settings.file import LoadedConfig, load_config
from holdfast.settings.secrets import Secrets
from tests.senders import DESCRIBED, SENDERS, send

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
GATEWAY = "http://127.0.0.1:8080"


@pytest.fixture(name="starter")
def _starter(tmp_path: Path) -> LoadedConfig:
    write_starter(tmp_path / "holdfast.yaml", tmp_path / ".holdfast")
    return load_config(tmp_path / "holdfast.yaml")


@pytest.mark.parametrize("name", ["github", "billing", "orders", "ops"])
def test_a_sent_request_verifies_and_a_changed_one_does_not(starter: LoadedConfig, name: str) -> None:
    """Every scheme signs what it verifies; another body, key or time is refused."""
    source, secrets = starter.config.sources[name], Secrets(starter.file.parent)
    assert source.verify is not None
    request = Sender(name, source, GATEWAY, secrets).build(Wish(path={"tenant": "acme"}), NOW)
    scheme = preset_of(source.verify).scheme
    secret = secrets.resolve(source.verify.secrets[0]).get_secret_value()
    verifier = Verifier(scheme, [secret], source.verify.tolerance)

    def judge(body: bytes, now: datetime) -> object:
        return verifier.verify(SignedRequest.of(request.headers, body, request.method, request.url), now)

    assert isinstance(judge(request.body, NOW), Verified)
    if scheme.signed_parts:
        assert isinstance(judge(request.body + b" ", NOW), Refused)
    if scheme.headers[0].timestamp:
        assert isinstance(judge(request.body, NOW + source.verify.tolerance + timedelta(seconds=1)), Refused)
    other = Verifier(scheme, [secret[:-4] + "AAAA"], source.verify.tolerance)
    assert isinstance(other.verify(SignedRequest.of(request.headers, request.body, "POST", request.url), NOW), Refused)


@pytest.mark.parametrize("mode", ["binary", "structured", "batch"])
def test_a_cloudevent_is_sent_in_any_mode_and_signed(tmp_path: Path, mode: Mode) -> None:
    """What is sent reads as the event that was wished for, and verifies like any other body."""
    (tmp_path / "secret").write_text("s3cret")
    source = SourceConfig(verify=VerifyConfig(preset="github", secrets=("file:secret",)))
    wish = Wish("a.b", "7", b'{"n": 1}', cloudevent=mode)
    request = Sender("x", source, GATEWAY, Secrets(tmp_path)).build(wish, NOW)
    signed = SignedRequest.of(request.headers, request.body, request.method, request.url)
    assert isinstance(verifier_of(source.verify or pytest.fail("has one"), ["s3cret"]).verify(signed, NOW), Verified)
    match mode:
        case "binary":
            event = read_binary(signed.headers, "application/json", request.body)
        case "structured":
            event = read_structured(request.body)
        case "batch":
            (event,) = read_batch(request.body, 10)
    assert (event.id, event.type, event.time, event.datacontenttype) == ("7", "a.b", NOW, "application/json")
    assert json.loads(event.data) == {"n": 1}


def test_a_key_in_the_query_is_sent_there(tmp_path: Path) -> None:
    """Event Grid and devices carry their key in the address."""
    (tmp_path / "secret").write_text("s3 cret")
    source = SourceConfig(verify=VerifyConfig(preset="eventgrid", secrets=("file:secret",)))
    request = Sender("x", source, GATEWAY, Secrets(tmp_path)).build(Wish(), NOW)
    assert request.url.endswith("/hooks/x?code=s3+cret")


def test_the_curl_line_needs_no_expression_and_no_clock(starter: LoadedConfig) -> None:
    """The line is for a source that takes it at any time, as often as it is pasted."""
    found = find_line(starter.config.sources, GATEWAY, starter.file.parent, NOW)
    assert found is not None
    assert found.source == "github"
    assert found.note == ""
    words = shlex.split(found.line)
    assert words[:3] == ["curl", "-i", f"{GATEWAY}/hooks/github"]
    assert any(word.startswith("x-hub-signature-256: sha256=") for word in words)


def test_a_bearer_token_is_read_by_the_shell_and_not_shown(starter: LoadedConfig) -> None:
    """The screen shows where the token is, and pasting the line still sends it."""
    found = find_line({"ops": starter.config.sources["ops"]}, GATEWAY, starter.file.parent, NOW)
    assert found is not None
    token = (starter.file.parent / ".holdfast/secrets/ops").read_text().strip()
    assert token not in found.line
    spoken = subprocess.run(
        ["sh", "-c", found.line.replace("curl", "printf '%s\\n'", 1)], capture_output=True, text=True, check=True
    ).stdout
    assert f"authorization: Bearer {token}\n" in spoken


def test_no_line_without_a_secret(starter: LoadedConfig) -> None:
    """A secret that is not on this machine makes no line that would be refused."""
    verify = starter.config.sources["ops"].verify
    assert verify is not None
    away = starter.config.sources["ops"].model_copy(
        update={"verify": verify.model_copy(update={"secrets": ("env:NO_SUCH_SECRET",)})}
    )
    assert find_line({"ops": away}, GATEWAY, starter.file.parent, NOW) is None


INSIDE = {"adyen", "aws-sns", "mailgun", "msgraph", "paypal"}
"""Senders that sign inside the body or the query, or by a certificate of their own: nobody else can play them."""


@pytest.mark.parametrize("name", SENDERS)
def test_every_sender_that_signs_in_headers_can_be_played(name: str) -> None:
    """What is sent verifies; where nobody can play the sender the error says so, before anything is sent."""
    verify = DESCRIBED.get(name) or VerifyConfig.model_validate(
        {"preset": name, "secrets": ["env:X"], **({"topics": ["t"]} if name == "aws-sns" else {})}
    )
    secret = send(name).secrets[0]
    sender = Sender("src", SourceConfig(verify=verify), GATEWAY, Secrets(Path(), {"X": secret}))
    wish = Wish(headers={"x-more": "1"}) if name == "custom" else Wish()
    if name in INSIDE:
        with pytest.raises(RejectedInput, match=r"inside its body|cannot sign"):
            sender.build(wish, NOW)
        return
    request = sender.build(wish, NOW)
    judged = verifier_of(verify, [secret]).verify(
        SignedRequest.of(request.headers, request.body, request.method, request.url), NOW
    )
    assert isinstance(judged, Verified), judged


@pytest.mark.parametrize("name", ["basic", "gitlab-token", "okta"])
def test_no_secret_stands_in_a_curl_line(name: str) -> None:
    """Whatever header carries a secret, the line makes the shell read it."""
    verify = VerifyConfig.model_validate({"preset": name, "secrets": ["env:PW"]})
    line = _line(
        Sender("src", SourceConfig(verify=verify), GATEWAY, Secrets(Path(), {"PW": "us:er"})), Path(), NOW
    ).line
    assert "us:er" not in line
    assert "dXM6ZXI=" not in line
    run = ["bash", "-c", line.replace("curl", "printf '%s\\n'", 1)]
    spoken = subprocess.run(
        run, capture_output=True, text=True, check=True, env={"PW": "us:er", "PATH": "/usr/bin:/bin"}
    )
    assert ("Basic dXM6ZXI=" if name == "basic" else "us:er") in spoken.stdout
