"""The certificate of a TLS client, as a trusted proxy forwards it in a header, and whether it is the sender's.

Flow: clients → **client certificates** → signatures. Read are `Client-Cert` (RFC 9440), Envoy's
`X-Forwarded-Client-Cert`, and PEM or base64 in any other header, URL-encoded or not (nginx, Traefik, HAProxy).
"""

import base64
import binascii
import hmac
import re
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import unquote

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.x509 import ExtendedKeyUsage, SubjectAlternativeName
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import ExtensionPolicy, PolicyBuilder, Store, VerificationError

XFCC = "x-forwarded-client-cert"
MAX_DEPTH = 8  # certificates between the client's and the root
_PEM = re.compile(r"-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----")
_PAIR = re.compile(r'\s*([A-Za-z]+)=("(?:[^"\\]|\\.)*"|[^;,"]*)\s*(;|,|$)')


@dataclass(frozen=True, slots=True)
class ClientRules:
    """What must hold of the certificate; each that is not empty must. `subjects` as RFC 4514 writes them."""

    roots: tuple[x509.Certificate, ...] = ()
    subjects: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()  # DNS names, URIs or addresses of mail
    fingerprints: frozenset[str] = frozenset()  # SHA-256 of the certificate, hex, lower case


@dataclass(frozen=True, slots=True)
class Forwarded:
    """What a proxy says of its client. `chain`: the client's certificate and those it sent with it."""

    chain: tuple[x509.Certificate, ...]
    fingerprint: str
    subject: str
    names: frozenset[str]


def read_roots(text: str) -> tuple[x509.Certificate, ...]:
    """Read the certificates of authorities, PEM. Raises ValueError."""
    return tuple(x509.load_pem_x509_certificates(text.encode()))


def read_fingerprint(text: str) -> str:
    """Return a fingerprint in plain hex. Raises ValueError where it is no SHA-256."""
    plain = text.replace(":", "").lower()
    if not re.fullmatch(r"[0-9a-f]{64}", plain):
        raise ValueError("a fingerprint is the certificate's SHA-256 in hex")
    return plain


def read_forwarded(header: str, value: bytes) -> Forwarded | None:
    """Read what a header says; None for anything that cannot be read in one way."""
    try:
        text = value.decode("ascii").strip()
        return _from_envoy(text) if header == XFCC else _described(_chain(text))
    except (ValueError, binascii.Error, UnsupportedAlgorithm, x509.UnsupportedGeneralNameType):
        return None


def refusal(client: Forwarded, rules: ClientRules, now: datetime) -> str | None:
    """Return why a certificate is not the sender's; None where it is."""
    if client.chain and not client.chain[0].not_valid_before_utc <= now <= client.chain[0].not_valid_after_utc:
        return "the client's certificate is not valid now"
    if rules.fingerprints and not any(hmac.compare_digest(client.fingerprint, one) for one in rules.fingerprints):
        return "the client's certificate has another fingerprint"
    if rules.subjects and client.subject not in rules.subjects:
        return "the client's certificate has another subject"
    if rules.names and not rules.names & client.names:
        return "the client's certificate has none of the names"
    if rules.roots and not _issued(client.chain, rules.roots, now):
        return "the client's certificate does not come from one of the authorities"
    return None


def _issued(chain: tuple[x509.Certificate, ...], roots: tuple[x509.Certificate, ...], now: datetime) -> bool:
    if not chain:
        return False  # Envoy told of the certificate, but did not forward it
    policy = (
        PolicyBuilder()
        .store(Store(list(roots)))
        .time(now)
        .max_chain_depth(MAX_DEPTH)
        .extension_policies(ca_policy=ExtensionPolicy.webpki_defaults_ca(), ee_policy=ExtensionPolicy.permit_all())
    )
    try:
        policy.build_client_verifier().verify(chain[0], list(chain[1:]))
        usage = chain[0].extensions.get_extension_for_class(ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return True
    except (VerificationError, ValueError):
        return False
    return ExtendedKeyUsageOID.CLIENT_AUTH in usage or ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE in usage


def _described(chain: tuple[x509.Certificate, ...]) -> Forwarded:
    leaf = chain[0]
    try:
        held = leaf.extensions.get_extension_for_class(SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        held = SubjectAlternativeName([])
    names = [
        *held.get_values_for_type(x509.DNSName),
        *held.get_values_for_type(x509.UniformResourceIdentifier),
        *held.get_values_for_type(x509.RFC822Name),
    ]
    return Forwarded(chain, leaf.fingerprint(hashes.SHA256()).hex(), leaf.subject.rfc4514_string(), frozenset(names))


def _chain(text: str) -> tuple[x509.Certificate, ...]:
    """Read one certificate or several; the first is the client's."""
    if text.startswith(":"):  # a byte sequence of RFC 8941
        if not text.endswith(":") or len(text) < 3:
            raise ValueError("no byte sequence")
        return (_der(text[1:-1]),)
    plain = unquote(text) if "%" in text else text
    found = _PEM.findall(plain)
    if found:
        return tuple(_der("".join(one.split())) for one in found)
    return tuple(_der(one.strip()) for one in plain.split(","))


def _der(text: str) -> x509.Certificate:
    return x509.load_der_x509_certificate(base64.b64decode(text, validate=True))


def _unquoted(text: str) -> str:
    return text[1:-1] if text.startswith('"') else text


def _from_envoy(text: str) -> Forwarded | None:
    """Read the last element, which the proxy that we trust has added itself."""
    fields: dict[str, list[str]] = {}
    position, ended = 0, False
    while position < len(text):
        match = _PAIR.match(text, position)
        if match is None:
            return None
        if ended:
            fields = {}
        fields.setdefault(match[1].lower(), []).append(re.sub(r"\\(.)", r"\1", _unquoted(match[2])))
        ended, position = match[3] == ",", match.end()
    if any(len(fields.get(name, ())) > 1 for name in ("hash", "cert", "chain", "subject")) or ended:
        return None
    written = fields.get("chain") or fields.get("cert")
    if written:
        known = _described(_chain(written[0]))
        told = fields.get("hash", [known.fingerprint])[0].lower()
        return known if told == known.fingerprint else None
    if "hash" not in fields:
        return None
    names = frozenset(name for kind in ("uri", "dns") for name in fields.get(kind, ()) if name)
    return Forwarded((), fields["hash"][0].lower(), fields.get("subject", [""])[0], names)
