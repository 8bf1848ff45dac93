"""The deployment's own certificate authority, and the certificates by which Consul's agents know each other."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_DAY = datetime.timedelta(days=1)
# The authority outlives the certificates, which are renewed by any run in their last month.
AUTHORITY_DAYS, AGENT_DAYS, RENEWAL_DAYS = 3650, 365, 30


@dataclass(frozen=True, slots=True)
class Authority:
    """Signs the agents' certificates.

    Args:
        certificate: PEM; every agent has it.
        key: PEM; never leaves the operator's machine.
    """

    certificate: str
    key: str = field(repr=False)

    @classmethod
    def new(cls, name: str) -> Authority:
        """An authority with a fresh P-256 key.

        Args:
            name: stands in its certificate as the common name.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        public = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        certificate = (
            _builder(subject, subject, key.public_key(), AUTHORITY_DAYS)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(authority=True), critical=True)
            .add_extension(public, critical=False)
            .sign(key, hashes.SHA256())
        )
        return cls(_pem(certificate), _key_pem(key))

    @classmethod
    def parse(cls, text: str) -> Authority:
        """What ``text`` gave, read again."""
        certificate, separator, key = text.partition("-----BEGIN PRIVATE KEY-----")
        return cls(certificate, separator + key)

    @property
    def text(self) -> str:
        """Certificate and key in one text; secret."""
        return self.certificate + self.key

    def issue(self, names: Iterable[str]) -> str:
        """A fresh key with a certificate for these DNS names, both in one PEM text; secret.

        One file holds both, so that an agent never reads the one without the other.
        """
        ours = x509.load_pem_x509_certificate(self.certificate.encode("ascii"))
        signer = serialization.load_pem_private_key(self.key.encode("ascii"), password=None)
        assert isinstance(signer, ec.EllipticCurvePrivateKey)
        wanted = tuple(names)
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, wanted[0])])
        uses = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        certificate = (
            _builder(subject, ours.subject, key.public_key(), AGENT_DAYS)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(authority=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(uses), critical=False)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in wanted]), critical=False)
            .sign(signer, hashes.SHA256())
        )
        return _pem(certificate) + _key_pem(key)

    def accepts(self, certificate: str, names: Iterable[str]) -> bool:
        """Whether a certificate (PEM) is one of this authority's, for just these names, and not about to end."""
        ours = x509.load_pem_x509_certificate(self.certificate.encode("ascii"))
        try:
            found = x509.load_pem_x509_certificate(certificate.encode("ascii"))
            found.verify_directly_issued_by(ours)
            alternatives = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        except (ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
            return False
        left = found.not_valid_after_utc - datetime.datetime.now(datetime.UTC)
        return set(alternatives.get_values_for_type(x509.DNSName)) == set(names) and left > RENEWAL_DAYS * _DAY


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, days: int
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _DAY)  # a host's clock may be behind
        .not_valid_after(now + days * _DAY)
    )


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode("ascii")


def _key_pem(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode("ascii")
