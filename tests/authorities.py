"""Certificates of a private authority, for tests."""

from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAY = timedelta(days=1)
_UNUSED = ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only")


def named(common: str) -> x509.Name:
    """Return a name."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


class Authority:
    """Issues certificates that are valid from a day before `now` to a day after it."""

    def __init__(self, common: str = "Root", now: datetime | None = None) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = named(common)
        self.now = now or datetime.now(UTC)
        self.certificate = self._built(self.name, self.key.public_key(), depth=1)

    @property
    def pem(self) -> bytes:
        """The root."""
        return self.certificate.public_bytes(Encoding.PEM)

    def issue(
        self,
        common: str,
        names: tuple[str, ...] = (),
        usage: x509.ObjectIdentifier = ExtendedKeyUsageOID.CLIENT_AUTH,
    ) -> x509.Certificate:
        """Issue a certificate for a client or server."""
        key = ec.generate_private_key(ec.SECP256R1())
        return self._built(named(common), key.public_key(), names=names, usage=usage)

    def issue_with_key(self, common: str, usage: x509.ObjectIdentifier) -> tuple[str, str]:
        """Issue a certificate for its own name; return it and its key as PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        issued = self._built(named(common), key.public_key(), names=(common,), usage=usage)
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return issued.public_bytes(Encoding.PEM).decode(), private.decode()

    def _built(
        self,
        subject: x509.Name,
        public: ec.EllipticCurvePublicKey,
        *,
        names: tuple[str, ...] = (),
        usage: x509.ObjectIdentifier | None = None,
        depth: int | None = None,
    ) -> x509.Certificate:
        authority = depth is not None
        flags = dict.fromkeys(("digital_signature", "key_cert_sign", "crl_sign"), authority) | {
            "digital_signature": True
        }
        built = (
            x509.CertificateBuilder(self.name, subject, public, x509.random_serial_number())
            .not_valid_before(self.now - DAY)
            .not_valid_after(self.now + DAY)
            .add_extension(x509.BasicConstraints(authority, depth), critical=True)
            .add_extension(x509.KeyUsage(**flags, **dict.fromkeys(_UNUSED, False), decipher_only=False), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
        )
        if usage is not None:
            built = built.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        if names:
            kinds = [x509.UniformResourceIdentifier(one) if "://" in one else x509.DNSName(one) for one in names]
            built = built.add_extension(x509.SubjectAlternativeName(kinds), critical=False)
        return built.sign(self.key, hashes.SHA256())
