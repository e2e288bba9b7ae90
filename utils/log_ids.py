"""Ids as hashes, for logs, metrics and traces: the same for the same id, and of no use to whoever reads them.

With the id of a conversation, a run or a visitor, what people wrote could be read. The hash is keyed (HMAC, RFC 2104):
ids that people choose are short, so a plain hash could be reversed by trying them out.
"""

import hmac
import secrets

_HEX_DIGITS = 16
_PURPOSE = b"ids in logs"
_keys = [secrets.token_bytes(32)]  # a random one until the installation's own is known


def use_log_key(secret: bytes) -> None:
    """Hash from now on with a key made of an installation's *secret*: the same in all its processes, also later."""
    _keys[:] = [hmac.digest(secret, _PURPOSE, "sha256")]


def hash_id(value: str) -> str:
    """What stands for the id *value*: `~` and 16 hexadecimal digits."""
    digest = hmac.digest(_keys[0], value.encode(errors="surrogatepass"), "sha256")
    return f"~{digest.hex()[:_HEX_DIGITS]}"
