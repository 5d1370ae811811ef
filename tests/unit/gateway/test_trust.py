"""A certificate that a sender names is believed by its name and by the way to a root."""

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from gateway.trust import Trust
from holdfast.domain.presets import PRESETS
from holdfast.domain.schemes import KeySource
from tests.authorities import DAY, Authority

ROOT = Authority()
PAYPAL = "messageverificationcerts.paypal.com"
AMAZON = "sns.amazonaws.com"


def source(preset: str) -> KeySource:
    """Return where a preset's certificates come from."""
    found = PRESETS[preset].scheme.key_source
    assert found is not None
    return found


def served(*names: str, by: Authority = ROOT, chained: bool = True) -> bytes:
    """Return a certificate for a server of that name, with its issuer's."""
    leaf: x509.Certificate = by.issue(names[0], names, ExtendedKeyUsageOID.SERVER_AUTH)
    return leaf.public_bytes(Encoding.PEM) + (by.pem if chained else b"")


@pytest.mark.parametrize(
    ("preset", "pem", "believed"),
    [
        ("paypal", served(PAYPAL), True),
        ("paypal", served("messageverificationcerts.sandbox.paypal.com"), True),
        ("paypal", served(PAYPAL, chained=False), True),  # the root itself need not be served
        ("paypal", served(PAYPAL, by=Authority()), False),
        ("paypal", served("www.paypal.com"), False),
        ("paypal", served(f"{PAYPAL}.evil.example"), False),
        ("aws-sns", served(AMAZON, chained=False), True),
        ("aws-sns", served("sns-signing.af-south-1.amazonaws.com", chained=False), True),
        ("aws-sns", served("sns-cn-north-1.amazonaws.com.cn", chained=False), True),
        ("aws-sns", served("evil.amazonaws.com", chained=False), False),
        ("aws-sns", served(AMAZON, by=Authority()), False),
        ("aws-sns", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", False),
        ("aws-sns", b"", False),
    ],
)
def test_name_and_root_decide(preset: str, pem: bytes, *, believed: bool) -> None:
    """A name of the sender's own, and a chain to a root wherever one is served; Amazon serves the leaf alone."""
    assert Trust(ROOT.pem).believes(pem, source(preset), ROOT.now) is believed


def test_a_chain_that_has_ended_leads_nowhere() -> None:
    """It is judged at the time of the request."""
    assert not Trust(ROOT.pem).believes(served(PAYPAL), source("paypal"), ROOT.now + 2 * DAY)


def test_this_machines_roots_know_no_private_authority() -> None:
    """Without roots of a test's own, the public ones count."""
    assert not Trust().believes(served(PAYPAL), source("paypal"), ROOT.now)
