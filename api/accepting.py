"""What is answered to work that goes on: 202, and where it is told how far it is."""

from collections.abc import Mapping
from typing import Any

from flask import Response, jsonify


def accepted(shown: Mapping[str, Any], status_url: str, *, etag: str | None = None) -> Response:
    """202 with *shown*, and the address of what is worked on in `status_url` and `Location`."""
    response = jsonify({**shown, "status_url": status_url})
    response.status_code = 202
    response.headers["Location"] = status_url
    if etag is not None:
        response.headers["ETag"] = etag
    return response
