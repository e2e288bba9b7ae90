"""Bytes as the page's components send them."""

from base64 import b64decode
from typing import Any


def decode_base64(sent: Any) -> bytes | None:
    """The bytes of *sent*, which may be anything; None where it is no Base64."""
    try:
        return b64decode(sent, validate=True) if isinstance(sent, str) else None
    except ValueError:
        return None
