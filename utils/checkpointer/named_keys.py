"""Secret keys as a setting spells them: `name:key,older:key`. Nothing here repeats a key, whatever is wrong with it."""

import re
from base64 import b64decode

KEY_BYTES = 32
_NAME = re.compile(r"[A-Za-z0-9._-]{1,16}")  # shorter than any key, so that a key in its place is not taken for one
_HOW = "write name:key,older:key with keys from `openssl rand -base64 32`"


def named_keys(text: str) -> dict[str, bytes]:
    """The keys in *text* by name, in its order: each 32 bytes in base64, of either alphabet, padded or not.

    Raises:
        ValueError: what is wrong with which of them, by its number.
    """
    found: dict[str, bytes] = {}
    for number, part in enumerate(text.split(","), start=1):
        name, _, encoded = (side.strip() for side in part.partition(":"))
        if not encoded or not _NAME.fullmatch(name):
            raise ValueError(f"number {number} has no name of 1 to 16 letters, digits and . _ - before a colon; {_HOW}")
        key = _decode(encoded)
        if len(key) != KEY_BYTES:
            raise ValueError(f"number {number} is not {KEY_BYTES} bytes in base64; {_HOW}")
        if name in found or key in found.values():
            raise ValueError(f"number {number} has the name or the key of one before it")
        found[name] = key
    return found


def _decode(encoded: str) -> bytes:
    try:
        # 43 characters and one of padding; any other length is refused here or by its size.
        return b64decode(encoded.rstrip("=").replace("-", "+").replace("_", "/") + "=", validate=True)
    except ValueError:  # binascii.Error is one, and so are characters beyond ASCII
        return b""
