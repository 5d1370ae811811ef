"""`holdfast verify` judges captured requests as the gateway would, and says what is wrong with a file."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from typer.testing import CliRunner, Result

from holdfast.cli.main import app
from tests.vectors import vectors

# https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries
SIGNED = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
GITHUB = {
    "id": "a",
    "preset": "github",
    "secret": "It's a Secret to Everybody",
    "headers": {"X-Hub-Signature-256": SIGNED},
    "body": "Hello, World!",
}
STANDARD = {
    "id": "standard",
    "preset": "standard-webhooks",
    "secret": ["whsec_AAAA", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
    "headers": {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    },
    "body_base64": base64.b64encode(b'{"test": 2432232314}').decode(),
    "now": 1614265330,
}


def verify(directory: Path, content: Any) -> Result:
    """Run the command on a file of that content."""
    file = directory / "captured.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return CliRunner().invoke(app, ["verify", "--file", str(file)])


def test_the_published_vectors_come_out_as_their_sources_say(tmp_path: Path) -> None:
    """The whole file is exit code 0, with one line for each entry, in order."""
    entries = vectors()
    result = verify(tmp_path, entries)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert [line.split()[:2] for line in lines] == [[e["id"], e["expect"]] for e in entries]
    assert all(line.split()[2].startswith("signature.") for line in lines if " fail" in line)


def test_one_captured_request_is_one_line(tmp_path: Path) -> None:
    """A single object is taken as it is, with its body as text or in base64, and with several secrets."""
    assert verify(tmp_path, GITHUB).stdout == "a ok\n"
    assert verify(tmp_path, STANDARD).stdout == "standard ok\n"
    assert verify(tmp_path, {k: v for k, v in GITHUB.items() if k != "id"}).stdout == "request-1 ok\n"


@pytest.mark.parametrize(
    ("change", "line", "exit_code"),
    [
        ({"body": "Hello, World?"}, "a fail signature.invalid\n", 1),
        ({"body": "Hello, World?", "expect": "fail"}, "a fail signature.invalid\n", 0),
        ({"headers": {}}, "a fail signature.missing\n", 1),
        ({"expect": "fail"}, "a ok\n", 1),
        ({"preset": "githup", "expect": "fail"}, "a fail input.invalid\n", 1),
        ({"preset": "hmac"}, "a fail input.invalid\n", 1),
        ({"body": None, "body_base64": "*"}, "a fail input.invalid\n", 1),
        ({"secret": {"hex": "zz"}}, "a fail input.invalid\n", 1),
        ({"headers": {"x": "\ud800"}}, "a fail input.invalid\n", 1),
        ({"id": "a\nb ok"}, "a_b_ok ok\n", 0),
        ({"incomplete": True}, "a ok\n", 0),
        ({"incomplete": True, "body": "Hello, World?"}, "a fail signature.key_unavailable\n", 0),
        ({"headers": [["X-HUB-Signature-256", SIGNED]]}, "a ok\n", 0),
        (
            {"headers": {"X-Hub-Signature-256": [SIGNED] * 2}},
            "a fail signature.invalid\n",
            1,
        ),
        ({"headers": [1]}, "a fail input.invalid\n", 1),
        ({"now": "yesterday"}, "a fail input.invalid\n", 1),
        ({"now": 1e300}, "a fail input.invalid\n", 1),
        ({"now": "2026-01-02T03:04:05Z", "url": "x", "method": None}, "a ok\n", 0),
        ({"body_base64": ""}, "a fail input.invalid\n", 1),
        ({"secret": None}, "a fail input.invalid\n", 1),
        ({"secret": ["", "x", GITHUB["secret"]]}, "a ok\n", 0),
        ({"secret": ""}, "a fail signature.invalid\n", 1),
        ({"secret": 7}, "a fail input.invalid\n", 1),
        ({"preset": "whatsapp"}, "a ok\n", 0),
        ({"preset": None}, "a fail input.invalid\n", 1),
    ],
)
def test_the_exit_code_says_whether_it_came_out_as_expected(
    tmp_path: Path, change: dict[str, Any], line: str, exit_code: int
) -> None:
    """What cannot be used is never as expected, and the reason is on standard error."""
    result = verify(tmp_path, [{**GITHUB, **change}])
    assert (result.stdout, result.exit_code) == (line, exit_code), result.stderr
    assert bool(result.stderr) == (exit_code == 1 or "unavailable" in line)
    assert "Everybody" not in result.output


def test_a_stale_request_is_stale_only_where_a_time_is_given(tmp_path: Path) -> None:
    """Without `now` the age does not count; with it the tolerance of the preset does."""
    assert verify(tmp_path, {**STANDARD, "now": 1614269999}).stdout == "standard fail signature.stale\n"
    assert verify(tmp_path, {**STANDARD, "now": 1614269999, "tolerance": 9000}).stdout == "standard ok\n"
    assert verify(tmp_path, {**STANDARD, "now": None}).stdout == "standard ok\n"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "empty list"),
    ],
)
def test_a_broken_file_is_one_error_and_no_verdicts(tmp_path: Path, content: Any, said: str) -> None:
    """Nothing is printed as a result, no secret is shown, and the error says where it is wrong."""
    result = verify(tmp_path, content)
    assert (result.exit_code, result.stdout) == (1, "")
    assert said in result.stderr
    assert "Everybody" not in result.output


def test_a_broken_entry_hides_no_other(tmp_path: Path) -> None:
    """Each entry has its line in order; what is wrong with one is on standard error, without its secret."""
    result = verify(tmp_path, [7, GITHUB, {**GITHUB, "id": 3, "preset": ["x"]}, {"id": "none"}, STANDARD])
    assert result.stdout == (
        "request-1 fail input.invalid\na ok\n3 fail input.invalid\nnone fail input.invalid\nstandard ok\n"
    )
    assert result.exit_code == 1
    assert "none: preset: is required" in result.stderr
    assert "Everybody" not in result.output


def test_a_missing_file_is_an_error() -> None:
    """The command says which file, and that it needs one."""
    result = CliRunner().invoke(app, ["verify", "--file", "/no/such/file.json"])
    assert result.exit_code == 1
    assert "/no/such/file.json" in result.stderr
    assert CliRunner().invoke(app, ["verify"]).exit_code == 2


def test_what_the_gateway_would_fetch_or_see_can_be_given(tmp_path: Path) -> None:
    """A key set, a proxy's word about its client and a forwarded certificate are judged offline, as online."""
    private = Ed25519PrivateKey.generate()
    x = base64.urlsafe_b64encode(private.public_key().public_bytes_raw()).rstrip(b"=").decode()
    jwks = {"keys": [{"kty": "OKP", "crv": "Ed25519", "x": x, "kid": "a"}]}
    pieces = [{"alg": "EdDSA", "kid": "a"}, {"exp": 2_000_000_000, "aud": "me"}]
    signed = b".".join(base64.urlsafe_b64encode(json.dumps(one).encode()).rstrip(b"=") for one in pieces)
    token = signed + b"." + base64.urlsafe_b64encode(private.sign(signed)).rstrip(b"=")
    oidc = {
        "id": "oidc",
        "preset": "oidc",
        "generic": {"audiences": ["me"], "algorithms": ["EdDSA"]},
        "headers": {"Authorization": f"Bearer {token.decode()}"},
        "jwks": jwks,
        "now": 1_900_000_000,
    }
    address = {
        "id": "address",
        "preset": "ip-allow-list",
        "generic": {"allow_ips": ["192.0.2.0/24"]},
        "headers": {"X-Forwarded-For": "192.0.2.7"},
        "peer": "10.0.0.1",
        "trusted_proxies": ["10.0.0.0/8"],
    }
    entries = [
        oidc,
        {**oidc, "id": "late", "now": 2_100_000_000, "expect": "fail"},
        {**oidc, "id": "other", "generic": {"audiences": ["you"], "algorithms": ["EdDSA"]}, "expect": "fail"},
        {**oidc, "id": "secret", "secret": json.dumps(jwks), "jwks": None},
        {**oidc, "id": "junk", "jwks": "[]", "expect": "fail"},
        address,
        {**address, "id": "stranger", "trusted_proxies": [], "expect": "fail"},
    ]
    assert verify(tmp_path, entries).stdout.splitlines() == [
        "oidc ok",
        "late fail signature.stale",
        "other fail signature.invalid",
        "secret ok",
        "junk fail input.invalid",
        "address ok",
        "stranger fail client.not_allowed",
    ]
