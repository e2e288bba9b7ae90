"""Large bodies sent to where nobody takes them, or by one who takes all room: others are served as before."""

import select
import socket
import time
from contextlib import ExitStack

import httpx
import pytest

from api.links import LinkSigner
from tests.service import Service

SENDERS, DECLARED_BYTES = 20, 16_777_216  # together more than MAX_BODY_MEMORY, each as much as MAX_CONTENT_LENGTH
CARRIES_DOCUMENTS = "/v1/tenant/datasets/none/documents"


def send_heads(stack: ExitStack, service: Service, method: str, target: str, *headers: str) -> list[socket.socket]:
    """Connections that have sent the head of a request with a large body, and not a byte of that."""
    lines = [f"{method} {target} HTTP/1.1", "Host: localhost", f"Content-Length: {DECLARED_BYTES}", *headers, "", ""]
    address = ("127.0.0.1", service.port)
    opened = [stack.enter_context(socket.create_connection(address, timeout=10)) for _ in range(SENDERS)]
    for connection in opened:
        connection.sendall("\r\n".join(lines).encode())
    return opened


def assert_a_large_body_is_taken(client: httpx.Client) -> None:
    taken = client.post("/v1/chat", json={"message": " " * 100_000})
    assert taken.status_code == 400, taken.text  # it was looked at, and is no question


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        ("POST", "/nowhere", 404),
        ("PUT", "/v1/chat", 405),
        ("OPTIONS", "/v1/chat", 200),
        ("GET", "/health", 200),
        ("GET", "/openapi.json", 200),
        ("POST", "/v1/chat", 401),
        ("POST", "/v1/tenant/datasets/none/documents/upload", 401),
        ("GET", "/v1/documents/none/view?version=1&token={token}", 410),
        ("GET", "/v1/documents/none/view?version=1&token=made-up", 403),
    ],
)
def test_a_body_that_nobody_takes_is_answered_at_once_and_holds_up_nobody(
    service: Service, client: httpx.Client, method: str, target: str, status: int
) -> None:
    key = bytes.fromhex((service.data_dir / "link.key").read_text())
    target = target.format(token=LinkSigner(key, 600).sign("default", "none", 1))
    with ExitStack() as stack:
        senders = send_heads(stack, service, method, target)
        assert_a_large_body_is_taken(client)
        answers = [int(connection.makefile("rb").readline().split()[1]) for connection in senders]
    assert answers == [status] * SENDERS


def test_one_tenant_leaves_room_for_the_bodies_of_others(
    service: Service, other_key: str, client: httpx.Client, other_client: httpx.Client
) -> None:
    with ExitStack() as stack:
        senders = send_heads(stack, service, "POST", CARRIES_DOCUMENTS, f"X-API-Key: {other_key}")
        await_answers(senders, SENDERS - 8)  # half of 256 MB is room for eight; the rest of that waits for its bodies
        assert other_client.post("/v1/chat", json={"message": " " * 100_000}).status_code == 503
        assert_a_large_body_is_taken(client)


def await_answers(connections: list[socket.socket], number: int) -> None:
    """Return when so many of them have an answer to read; fail when they have not in time."""
    deadline_s = time.monotonic() + 10
    while len(select.select(connections, [], [], 0.1)[0]) < number:
        assert time.monotonic() < deadline_s
