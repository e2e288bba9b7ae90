"""What every problem document holds, by the table in `utils/errors.py`."""

import time
from typing import Any
from urllib.parse import urlsplit

import httpx

from utils.errors import list_problem_types

MEMBERS = {"type", "title", "status", "detail", "instance", "request_id", "message", "timestamp"}


def assert_problem(document: dict[str, Any], status: int) -> None:
    """It has every member, and the title and the status of its type."""
    table = {f"urn:pustaka:problem:{kind.slug}": (kind.title, kind.status) for kind in list_problem_types()}
    assert set(document) >= MEMBERS, document
    assert table[document["type"]] == (document["title"], document["status"])
    assert document["status"] == status
    assert document["detail"] == document["message"] != ""
    assert urlsplit(document["instance"]).path == document["instance"]
    assert document["request_id"]
    assert abs(time.time() - document["timestamp"]) < 120


def assert_refused(response: httpx.Response, status: int) -> None:
    """*response* is a problem document with *status*."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert_problem(response.json(), status)
    assert response.json()["request_id"] == response.headers["x-request-id"]
