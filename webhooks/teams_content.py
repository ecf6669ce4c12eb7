"""Encrypted content of Graph's rich notifications: opened only when it is whole. Pure.

https://learn.microsoft.com/graph/change-notifications-with-resource-data#decrypting-resource-data-from-change-notifications
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.padding import PKCS7
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from webhooks.rejected import Malformed, Rejected
from webhooks.strict_json import read_object

CERTIFICATE_LIFE = timedelta(days=3650)


class UnknownCertificate(Exception):
    """It was encrypted to a certificate whose key is not at hand."""


def open_content(
    encrypted: Mapping[str, Any], *, private_keys: Mapping[str, RSAPrivateKey]
) -> dict[str, Any]:
    """The resource inside. Raises `UnknownCertificate`, else one uniform `Rejected`.

    Every fault looks the same from outside, so that answers teach a forger nothing about padding.
    """
    key = private_keys.get(str(encrypted.get("encryptionCertificateId")))
    if key is None:
        raise UnknownCertificate
    try:
        sealed_key, data, signature = (
            base64.b64decode(str(encrypted[name]), validate=True)
            for name in ("dataKey", "data", "dataSignature")
        )
        # SHA-1 is what Microsoft wraps the key with; it protects no signature here.
        padding = OAEP(mgf=MGF1(SHA1()), algorithm=SHA1(), label=None)  # nosec B303
        symmetric = key.decrypt(sealed_key, padding)
        if not hmac.compare_digest(hmac.digest(symmetric, data, "sha256"), signature):
            raise Rejected("bad_content")
        decryptor = Cipher(AES(symmetric), CBC(symmetric[:16])).decryptor()
        padded = decryptor.update(data) + decryptor.finalize()
        unpadder = PKCS7(128).unpadder()
        return read_object(unpadder.update(padded) + unpadder.finalize())
    except (KeyError, ValueError, Malformed) as e:
        raise Rejected("bad_content") from e


def make_certificate(now: datetime) -> tuple[bytes, bytes]:
    """A private key and a self-signed certificate, both PEM; Graph asks for no authority."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Circle notifications")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + CERTIFICATE_LIFE)
        .sign(key, SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return private, certificate.public_bytes(Encoding.PEM)
