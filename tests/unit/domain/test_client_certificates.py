"""A forwarded certificate proves its client only as the rules say, and only in one reading."""

import base64
from urllib.parse import quote

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given
from hypothesis import strategies as st

from holdfast.domain.client_certificates import ClientRules, read_forwarded, refusal
from tests.authorities import DAY, Authority

ROOT = Authority()
LEAF = ROOT.issue("billing", ("billing.example", "spiffe://example/billing"))
DER = base64.b64encode(LEAF.public_bytes(Encoding.DER)).decode()
PEM = LEAF.public_bytes(Encoding.PEM).decode()
ABOVE = base64.b64encode(ROOT.certificate.public_bytes(Encoding.DER)).decode()
HASH = LEAF.fingerprint(hashes.SHA256()).hex()

WRITTEN = [
    ("client-cert", f":{DER}:"),
    ("x-client-cert", quote(PEM, safe="")),
    ("x-client-cert", PEM.replace("\n", "\t")),
    ("x-client-cert", PEM.replace("\n", " ")),
    ("x-client-cert", DER),
    ("x-forwarded-tls-client-cert", quote(f"{DER},{ABOVE}")),
    ("x-forwarded-client-cert", f'By=spiffe://x;Hash={HASH};Cert="{quote(PEM, safe="")}";Subject="CN=billing"'),
    ("x-forwarded-client-cert", f'Hash=00;Subject="a,b;c", Hash={HASH};Chain="{quote(PEM + PEM, safe="")}"'),
]


@pytest.mark.parametrize(("header", "value"), WRITTEN, ids=[f"written{number}" for number in range(len(WRITTEN))])
def test_every_proxys_spelling_is_read(header: str, value: str) -> None:
    """RFC 9440, nginx, HAProxy, Traefik and Envoy, of whose elements the last is the trusted proxy's own."""
    found = read_forwarded(header, value.encode())
    assert found is not None
    assert (found.fingerprint, found.subject) == (HASH, "CN=billing")
    assert found.names == {"billing.example", "spiffe://example/billing"}
    assert refusal(found, ClientRules(roots=(ROOT.certificate,)), ROOT.now) is None


RULES = [
    (ClientRules(fingerprints=frozenset({HASH})), True),
    (ClientRules(fingerprints=frozenset({"0" * 64})), False),
    (ClientRules(subjects=frozenset({"CN=billing"})), True),
    (ClientRules(subjects=frozenset({"CN=other"})), False),
    (ClientRules(names=frozenset({"spiffe://example/billing", "x"})), True),
    (ClientRules(names=frozenset({"example"})), False),
    (ClientRules(roots=(ROOT.certificate,), names=frozenset({"x"})), False),
    (ClientRules(roots=(Authority().certificate,)), False),
]


@pytest.mark.parametrize(("rules", "holds"), RULES, ids=[f"rules{number}" for number in range(len(RULES))])
def test_each_rule_that_is_given_must_hold(rules: ClientRules, *, holds: bool) -> None:
    """Fingerprint, subject, name and authority; another root of the same name is another root."""
    found = read_forwarded("x-client-cert", DER.encode())
    assert found is not None
    assert (refusal(found, rules, ROOT.now) is None) is holds
    assert refusal(found, rules, ROOT.now + 2 * DAY) is not None


def test_only_a_clients_certificate_from_the_authority_itself_will_do() -> None:
    """A server's certificate, and one that a client's certificate has signed, are refused."""
    rules = ClientRules(roots=(ROOT.certificate,))

    def judged(*chain: x509.Certificate) -> str | None:
        text = ",".join(base64.b64encode(one.public_bytes(Encoding.DER)).decode() for one in chain)
        found = read_forwarded("x-client-cert", text.encode())
        assert found is not None
        return refusal(found, rules, ROOT.now)

    assert judged(ROOT.issue("no alternative names")) is None
    assert judged(ROOT.issue("server", ("s.example",), ExtendedKeyUsageOID.SERVER_AUTH)) is not None
    false = Authority("billing")
    assert judged(false.issue("forged"), LEAF) is not None


def test_envoys_facts_count_without_the_certificate_but_prove_no_authority() -> None:
    """Envoy forwards hash, subject and names by default; a chain can then not be verified."""
    text = f'Hash={HASH};Subject="CN=billing,O=\\"x\\"";URI=spiffe://example/billing;DNS=a.example;DNS=b.example'
    found = read_forwarded("x-forwarded-client-cert", text.encode())
    assert found is not None
    assert found.subject == 'CN=billing,O="x"'
    assert found.names == {"spiffe://example/billing", "a.example", "b.example"}
    assert refusal(found, ClientRules(fingerprints=frozenset({HASH})), ROOT.now) is None
    assert refusal(found, ClientRules(roots=(ROOT.certificate,)), ROOT.now) is not None


JUNK = [
    ("client-cert", ""),
    ("client-cert", "::"),
    ("client-cert", f":{DER}"),
    ("client-cert", f":{DER[:-8]}:"),
    ("x-client-cert", "%zz"),
    ("x-client-cert", "-----BEGIN CERTIFICATE-----"),
    ("x-forwarded-client-cert", ""),
    ("x-forwarded-client-cert", "Subject=x"),
    ("x-forwarded-client-cert", f"Hash={HASH},"),
    ("x-forwarded-client-cert", f"Hash={HASH};Hash={HASH}"),
    ("x-forwarded-client-cert", f'Hash={"0" * 64};Cert="{quote(PEM, safe="")}"'),
    ("x-forwarded-client-cert", f'Hash={HASH};Subject="open'),
]


@pytest.mark.parametrize(("header", "value"), JUNK, ids=[f"junk{number}" for number in range(len(JUNK))])
def test_what_cannot_be_read_in_one_way_is_nothing(header: str, value: str) -> None:
    """Empty, cut, doubled and contradicting values are no certificate."""
    assert read_forwarded(header, value.encode()) is None


@given(st.binary(max_size=200), st.sampled_from(["client-cert", "x-forwarded-client-cert", "x-client-cert"]))
def test_junk_is_nothing_and_never_an_exception(value: bytes, header: str) -> None:
    """Whatever a header holds, reading it returns."""
    read_forwarded(header, value)
    read_forwarded(header, b":" + base64.b64encode(value) + b":")
    read_forwarded(header, b"Hash=" + value + b";Cert=" + base64.b64encode(value))
