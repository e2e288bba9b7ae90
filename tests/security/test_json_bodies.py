"""A body is no larger than its route has a use for: what is made of JSON takes many times the memory of its text."""

import math
import re
import socket

import httpx
import pytest
from flask import Flask

from api.access import MAX_BODY_BYTES, Policy
from app import create_app
from config import load_settings
from tests.service import Service

CARRY_DOCUMENTS = {"/v1/tenant/datasets/<dataset_id>/documents", "/api/load-document"}
TAKE_PIECES = {
    "/v1/tenant/datasets/<dataset_id>/documents/upload",
    "/v1/audio",
    "/v1/audio/stream",
    "/v1/audio/transcriptions",
    "/v1/conversations/<conversation_id>/files",
    "/v1/tenant/data-sources/upload",
    "/v1/tenant/data-sources/<source_id>/upload",
}


@pytest.fixture(scope="module")
def app() -> Flask:
    return create_app(load_settings(_env_file=None))


def key_routes(app: Flask) -> list[tuple[str, str, Policy]]:
    """The methods and paths that take a key, and their policies."""
    policies = [(rule, getattr(app.view_functions[rule.endpoint], "policy", None)) for rule in app.url_map.iter_rules()]
    return sorted(
        (method, rule.rule, policy)
        for rule, policy in policies
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if policy and policy.kind == "key"
    )


def test_bodies_are_small_where_no_document_is_carried(app: Flask) -> None:
    large = {path for _, path, policy in key_routes(app) if (policy.max_body_bytes or math.inf) > MAX_BODY_BYTES}
    assert large == CARRY_DOCUMENTS
    assert app.config["MAX_CONTENT_LENGTH"] >= MAX_BODY_BYTES * 16


def test_a_large_body_is_refused_by_its_declared_size(app: Flask, service: Service, client: httpx.Client) -> None:
    for method, path, policy in key_routes(app):
        if path in TAKE_PIECES:
            continue
        taken = (policy.max_body_bytes or app.config["MAX_CONTENT_LENGTH"]) + 1
        target = re.sub("<(?:int:[^>]+|[^>]+)>", "1", path)
        assert _status(service, client, method, target, f"Content-Length: {taken}") == 413, (method, path)


def test_a_body_of_no_declared_size_is_read_as_far_as_it_may_be(service: Service, client: httpx.Client) -> None:
    sent = iter([b'{"message": "', *[b" " * 65_536] * 16, b'"}'])
    refused = client.post("/v1/chat", content=sent, headers={"Content-Type": "application/json"})
    assert refused.status_code == 413


def _status(service: Service, client: httpx.Client, method: str, target: str, *headers: str) -> int:
    """What the head of a request alone is answered with."""
    key = f"X-API-Key: {client.headers['X-API-Key']}"
    lines = [f"{method} {target} HTTP/1.1", "Host: localhost", key, *headers, "", ""]
    with socket.create_connection(("127.0.0.1", service.port), timeout=10) as connection:
        connection.sendall("\r\n".join(lines).encode())
        return int(connection.makefile("rb").readline().split()[1])
