"""Ids as logs, metrics and traces may tell them: alike for the same id, and of no use to whoever reads them.

With the id of a conversation, a run or a visitor, what people wrote could be read. The hash is keyed (HMAC, RFC 2104):
ids that people choose are short enough to be guessed, and tried out against a plain hash.
"""

import hmac
import secrets

_HEX_DIGITS = 16
_PURPOSE = b"ids in logs"
_keys = [secrets.token_bytes(32)]  # until the installation's own is known, nobody can tell whose hash it is


def use_log_key(secret: bytes) -> None:
    """Hash from now on with a key made of an installation's *secret*: alike in all its processes, also later."""
    _keys[:] = [hmac.digest(secret, _PURPOSE, "sha256")]


def hash_id(value: str) -> str:
    """What stands for the id *value*: `~` and 16 hexadecimal digits."""
    digest = hmac.digest(_keys[0], value.encode(errors="surrogatepass"), "sha256")
    return f"~{digest.hex()[:_HEX_DIGITS]}"
