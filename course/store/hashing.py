"""How a secret is kept for looking up: only its hash; the secret is random and long."""

import hashlib


def token_hash(token: str) -> str:
    """SHA-256 as hex. Enough for tokens of 128 random bits or more; never for passwords."""
    return hashlib.sha256(token.encode()).hexdigest()
