"""Decides whether a certificate that a sender names is the sender's: its name, and the way up to a root.

Flow: certificates → **trust** → authenticate. That it is valid now is judged with each request, by `signing_keys.py`.
"""

import contextlib
import re
import ssl
import warnings
from datetime import datetime

import certifi
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509 import DNSName, SubjectAlternativeName
from cryptography.x509.oid import NameOID
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from holdfast.domain.schemes import KeySource


class Trust:
    """The roots that are believed; `roots` (PEM) are those of this machine's httpx unless a test has its own."""

    def __init__(self, roots: bytes | None = None) -> None:
        self._given = roots
        self._store: Store | None = None

    def believes(self, pem: bytes, source: KeySource, now: datetime) -> bool:
        """Whether the first certificate has a name of the sender and, where its chain is served, leads to a root."""
        try:
            leaf, *others = x509.load_pem_x509_certificates(pem)
            names = [name for name in _names(leaf) if re.fullmatch(source.names, name)]
            if not names:
                return False
            if not source.chained and not others:
                return True
            verifier = PolicyBuilder().store(self._roots()).time(now).build_server_verifier(DNSName(names[0]))
            verifier.verify(leaf, [one for one in others if one.subject != one.issuer])
        except (ValueError, UnsupportedAlgorithm, VerificationError, x509.DuplicateExtension):
            return False
        return True

    def _roots(self) -> Store:
        if self._store is None:
            given = self._given
            self._store = Store(x509.load_pem_x509_certificates(given) if given is not None else _public_roots())
        return self._store


def _public_roots() -> list[x509.Certificate]:
    """Return the roots that the web believes; an odd one among them (a negative serial number) is left out."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(certifi.where())
    roots = []
    for der in context.get_ca_certs(binary_form=True):
        with warnings.catch_warnings(), contextlib.suppress(ValueError, CryptographyDeprecationWarning):
            warnings.simplefilter("error", CryptographyDeprecationWarning)
            roots.append(x509.load_der_x509_certificate(der))
    return roots


def _names(leaf: x509.Certificate) -> list[str]:
    try:
        held = leaf.extensions.get_extension_for_class(SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return [str(part.value) for part in leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    return held.get_values_for_type(DNSName)
