"""Graph's encryption of rich notifications: the subscriber's certificate, and sealing to it.

https://learn.microsoft.com/graph/change-notifications-with-resource-data
"""

from __future__ import annotations

import base64
import hmac
import json
import os
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.padding import PKCS7

from sandbox.graph_errors import GraphError

LONGEST_ID = 128


@dataclass(frozen=True, slots=True)
class Seal:
    """What notifications are encrypted to: a public key, and the subscriber's name for it."""

    key: RSAPublicKey
    certificate_id: str
    thumbprint: str

    def encrypt(self, resource: dict[str, Any]) -> dict[str, str]:
        """The `encryptedContent` of one notification."""
        sealed = encrypt(resource, self.key, self.certificate_id)
        return {**sealed, "encryptionCertificateThumbprint": self.thumbprint}


def encrypt(resource: dict[str, Any], key: RSAPublicKey, certificate_id: str) -> dict[str, str]:
    """Graph's recipe: a fresh key, AES-CBC with its first half as vector, HMAC over the result."""
    symmetric = os.urandom(32)
    padder = PKCS7(128).padder()
    padded = padder.update(json.dumps(resource).encode()) + padder.finalize()
    encryptor = Cipher(AES(symmetric), CBC(symmetric[:16])).encryptor()
    sealed = encryptor.update(padded) + encryptor.finalize()
    # Microsoft wraps the key with SHA-1; no signature rests on it here.
    padding = OAEP(mgf=MGF1(SHA1()), algorithm=SHA1(), label=None)
    return {
        "data": base64.b64encode(sealed).decode(),
        "dataSignature": base64.b64encode(hmac.digest(symmetric, sealed, "sha256")).decode(),
        "dataKey": base64.b64encode(key.encrypt(symmetric, padding)).decode(),
        "encryptionCertificateId": certificate_id,
    }


def read_seal(asked: dict[str, Any]) -> Seal:
    """The certificate of a subscription: base64 of DER, RSA of 2048 to 4096 bits, with an id."""
    try:
        raw = base64.b64decode(str(asked.get("encryptionCertificate")), validate=True)
        certificate = x509.load_der_x509_certificate(raw)
        key = certificate.public_key()
    except ValueError as e:
        raise GraphError(400, "InvalidRequest", "encryptionCertificate is not valid.") from e
    if not isinstance(key, RSAPublicKey) or not 2048 <= key.key_size <= 4096:
        raise GraphError(400, "InvalidRequest", "The certificate's key must be RSA 2048-4096.")
    certificate_id = asked.get("encryptionCertificateId")
    if not isinstance(certificate_id, str) or not 1 <= len(certificate_id) <= LONGEST_ID:
        raise GraphError(400, "InvalidRequest", "encryptionCertificateId is required.")
    return Seal(key, certificate_id, certificate.fingerprint(SHA1()).hex().upper())
