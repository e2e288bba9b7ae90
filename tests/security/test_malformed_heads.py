"""Heads of requests that no client would send: each is answered as any other request, or refused with a problem."""

import contextlib
import re
import socket
from collections import Counter

import httpx
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.api.problem import assert_problem
from tests.examples import count_examples
from tests.service import Service

METHODS = [b"GET", b"POST", b"HEAD", b"OPTIONS", b"BREW", b"get", b"CONNECT", b"TRACE", b"PRI", b""]
TARGETS = [
    b"/health",
    b"/v1/chat",
    b"*",
    b"/%00",
    b"/%zz",
    b"//x",
    b"http://x/health",
    b"/h\xc3\xa4",
    b"/" + b"a" * 9000,
    b"",
    b"/?%",
]
VERSIONS = [b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2.0", b"HTTP/9.9", b"HTTP/1.", b"http/1.1", b"", b"HTTP/1.1 x"]
HEADERS = [
    b"Host: x", b"Host: a b", b"Host:", b"Host: x\r\nHost: y", b"Content-Length: 5", b"Content-Length: -1",
    b"Content-Length: 1\r\nContent-Length: 2", b"Content-Length: 99999999999999999999", b"Transfer-Encoding: chunked",
    b"Transfer-Encoding: chunked, identity", b"Transfer-Encoding: x", b"Content-Type: application/json",
    b"Content-Type: \xff", b"X-API-Key: \xff\xfe", b"Authorization: Bearer", b"Expect: 100-continue",
    b"Upgrade: websocket\r\nConnection: Upgrade",
    b"Connection: close, keep-alive", b"Expect: x", b"Cookie: =;=", b": x", b"X", b" folded",
    b"X-Long: " + b"y" * 40_000, b"X\x00Y: z", b"X: \x00", b"X: \x0b", b"X-Request-Id: \x7f", b"Range: bytes=-",
    b"Accept: */*;q=x",
    b"Accept: text/event-stream;q=\xff", b"Idempotency-Key: \x01", b"Last-Event-ID: \xff", b"Origin: \xff",
    b"Access-Control-Request-Method: \xff", b"If-Match: \"", b"X-Forwarded-For: ,,,",
]  # fmt: skip
heads = st.tuples(
    st.sampled_from(METHODS) | st.binary(max_size=5),
    st.sampled_from(TARGETS) | st.binary(max_size=20),
    st.sampled_from(VERSIONS) | st.binary(max_size=9),
    st.lists(st.sampled_from(HEADERS) | st.binary(max_size=30), max_size=6),
    st.binary(max_size=20),
)


def answered(service: Service, sent: bytes) -> bytes:
    """The first answer, or what of it came before the service hung up or waited for more."""
    with socket.create_connection(("127.0.0.1", service.port), timeout=0.3) as connection:
        received = b""
        with contextlib.suppress(TimeoutError, ConnectionResetError, BrokenPipeError):
            connection.sendall(sent)
            while not is_whole(received) and (piece := connection.recv(65_536)):
                received += piece
        return received


def is_whole(received: bytes) -> bool:
    """Whether an answer is there to its end; one without a length is not looked at further."""
    head, ended, body = received.partition(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head.lower())
    return bool(ended) and (length is None or len(body) >= int(length[1]))


def test_no_head_is_answered_by_anything_but_the_service(service: Service, client: httpx.Client) -> None:
    seen: Counter[int] = Counter()

    @settings(max_examples=count_examples(500), database=None)
    @given(heads)
    def try_head(parts: tuple[bytes, bytes, bytes, list[bytes], bytes]) -> None:
        method, target, version, headers, body = parts
        lines = [b" ".join((method, target, version)), *headers, b"", body]
        received = answered(service, b"\r\n".join(lines))
        if received:  # else it waits for the rest
            seen[checked_status(received, has_body=method != b"HEAD")] += 1

    try_head()
    assert sum(seen.values()) > 200
    assert {200, 400} <= set(seen)
    assert client.get("/health").json()["status"] == "healthy"


def checked_status(received: bytes, *, has_body: bool) -> int:
    """The status of an answer, which is one of ours."""
    head, _, rest = received.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    status = int(lines[0].split()[1])
    if status == 100:
        return status
    told = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
    assert status < 500, received[:500]
    assert told["x-request-id"], received[:500]
    if status >= 400 and has_body:
        assert told["content-type"] == "application/problem+json", received[:500]
        assert_problem(httpx.Response(status, content=rest[: int(told["content-length"])]).json(), status)
    return status
