"""ETags of what two people may change: whoever sends `If-Match` changes it only as they have seen it (RFC 9110, 13)."""

import json
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

from flask import request

from utils.errors import BadInput, PreconditionFailed

_SAFE = ("GET", "HEAD", "OPTIONS")


def make_etag(state: Mapping[str, Any]) -> str:
    """The tag of *state*: all that callers can change, and nothing that changes by itself."""
    text = json.dumps(state, sort_keys=True, default=str)
    return f'"{blake2b(text.encode(), digest_size=12).hexdigest()}"'


def check_unchanged(etag: str, current: Mapping[str, Any]) -> None:
    """Return if the request may change what has *etag* now, and looks as *current*; to be asked under its lock.

    Raises:
        PreconditionFailed: the request names other states in `If-Match`; with the present one.
    """
    if_match = request.if_match
    if "If-Match" in request.headers and not (if_match.star_tag or if_match.is_strong(etag.strip('"'))):
        raise PreconditionFailed(
            "It was changed since you looked at it: `current` is what it is like now. Send its ETag in If-Match.",
            headers={"ETag": etag},
            members={"current": current},
        )


def refuse_unread_condition() -> None:
    """Return unless the request would change what has no ETag, on the condition of one: nobody would look at that.

    Raises:
        BadInput: it would.
    """
    if "If-Match" in request.headers and request.method not in _SAFE:
        raise BadInput("This address has no ETag, so If-Match is not supported: send the request without it.")


def merge_patch(value: Any, patch: Any) -> Any:
    """*value* as *patch* changes it: null removes, objects are merged, all else takes the place (RFC 7396, 2)."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(value) if isinstance(value, dict) else {}
    for name, change in patch.items():
        if change is None:
            merged.pop(name, None)
        else:
            merged[name] = merge_patch(merged.get(name), change)
    return merged
