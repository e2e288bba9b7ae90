"""Flask behaves behind the bridge as it does under WSGI: one table, each case run through both."""

import http.client
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from flask import Flask
from werkzeug.datastructures import Headers

from server.asgi import FlaskAsgi
from tests.server.live_server import Address, Answer, Journal, serving
from tests.server.parity_app import LIMIT_BYTES, make_app
from tests.server.parity_views import as_coroutine, as_sync

HOST = "example.test:8080"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
JSON = {"Content-Type": "application/json"}
MULTIPART = {"Content-Type": "multipart/form-data; boundary=b"}
UPLOAD = b'--b\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n%s\r\n'
# Of the server, not of the app; a stream's length is known to neither.
SERVERS_OWN = {"date", "server", "connection", "transfer-encoding"}


@dataclass(frozen=True)
class Case:
    target: str
    method: str = "GET"
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    def __str__(self) -> str:
        return f"{self.method} {self.target} {' '.join(self.headers.values())}"[:70]


CASES = [
    Case("/echo"),
    Case("/echo?a=1&a=2&b=%C3%A9+%2B&c=%FF&d"),
    Case("/echo/%C3%A9%2Fx%20y;z=1/%E6%97%A5"),
    Case("/echo/%FF%41"),
    Case("/echo", "PUT", {"X-Some": "a, b", "X-Latin": "é", "Accept": "text/html;q=0.9"}, b"\xc3\xa4 text"),
    Case("/echo", "PATCH", {"Cookie": "a=1; b=two", "Content-Type": "text/plain"}, b"x"),
    Case("/echo", "DELETE", {"Authorization": "Bearer k", "Origin": "http://o.test"}),
    Case("/echo", "HEAD"),
    Case("/echo", "OPTIONS"),
    Case("/form", "POST", FORM, b"wanted=1&wanted=2&x=%C3%A9"),
    Case("/form", "POST", FORM, b"x=1"),
    Case(
        "/form",
        "POST",
        MULTIPART,
        UPLOAD % (b"wanted", b"", b"1") + UPLOAD % (b"f", b'; filename="f"', b"2") + b"--b--",
    ),
    Case("/json", "POST", JSON, b'{"a": [1, "\xc3\xa9"]}'),
    Case("/json", "POST", JSON, b'{"a": '),
    Case("/json", "POST", FORM, b"a=1"),
    Case("/json", "POST", JSON, b'"' + b"x" * LIMIT_BYTES + b'"'),
    Case("/json?before=read", "POST", JSON, b'"' + b"x" * LIMIT_BYTES + b'"'),
    Case("/json?before=answer", "POST", JSON, b'"' + b"x" * LIMIT_BYTES + b'"'),
    Case("/json?before=read", "POST", JSON, b'"x"'),
    Case("/json"),
    Case("/counter"),
    Case("/slash"),
    Case("/nowhere"),
    Case("/made/text"),
    Case("/made/text", "HEAD"),
    Case("/made/text", "POST"),
    Case("/made/bytes"),
    Case("/made/dict"),
    Case("/made/list"),
    Case("/made/status"),
    Case("/made/headers"),
    Case("/made/all"),
    Case("/made/no%20content"),
    Case("/made/not%20modified"),
    Case("/made/not%20modified", headers={"If-None-Match": '"tag"'}),
    Case("/made/unicode%20header"),
    Case("/made/redirect"),
    Case("/made/relative%20redirect"),
    Case("/made/file"),
    Case("/made/file", "HEAD"),
    Case("/made/file", headers={"Range": "bytes=5-12"}),
    Case("/made/none"),
    Case("/made/nonsense"),
    Case("/cookies"),
    Case("/later"),
    Case("/two"),
    Case("/two", "POST"),
    Case("/generated"),
    Case("/generated", "HEAD"),
    Case("/with-context?a=1&b=2"),
    Case("/asynchronous"),
    Case("/asynchronous", "HEAD"),
    Case("/asynchronous?after=replace"),
    Case("/failing/odd"),
    Case("/failing/unhandled"),
    Case("/failing/404"),
    Case("/failing/418"),
    Case("/failing/response"),
    Case("/failing/key"),
    Case("/failing/nested"),
    Case("/failing/ignored"),
    Case("/echo?before=answer"),
    Case("/echo?before=abort"),
    Case("/echo?before=fail"),
    Case("/nowhere?before=answer"),
    Case("/echo?after=fail"),
    Case("/failing/unhandled?after=fail"),
    Case("/echo?after=replace"),
    Case("/special/7/x"),
    Case("/special/7/fail"),
    Case("/special/x/x"),
]


@dataclass(frozen=True)
class Both:
    """The same app under WSGI and live."""

    app: Flask
    journal: Journal
    live: Address

    def through_wsgi(self, case: Case) -> Answer:
        headers = [*case.headers.items(), ("Host", HOST), ("User-Agent", "parity")]
        client = self.app.test_client(use_cookies=False)
        response = client.open(case.target, method=case.method, headers=Headers(headers), data=case.body or None)
        answer = Answer(response.status_code, [(k.lower(), v) for k, v in response.headers], response.get_data())
        response.close()
        return answer

    def through_the_bridge(self, case: Case) -> Answer:
        connection = http.client.HTTPConnection(self.live.host, self.live.port, timeout=10)
        connection.putrequest(case.method, case.target, skip_host=True, skip_accept_encoding=True)
        length = {"Content-Length": str(len(case.body))} if case.body else {}
        for name, value in ({"Host": HOST, "User-Agent": "parity"} | case.headers | length).items():
            connection.putheader(name, value.encode("latin-1"))
        connection.endheaders(case.body or None)
        response = connection.getresponse()
        headers = [(name.lower(), _text(value)) for name, value in response.getheaders()]
        answer = Answer(response.status, headers, response.read())
        connection.close()
        return answer


def _text(value: str) -> str:
    """A header's value as UTF-8 where it is, for http.client reads Latin-1."""
    try:
        return value.encode("latin-1").decode()
    except UnicodeDecodeError:
        return value


def _comparable(answer: Answer) -> tuple[int, list[tuple[str, str]], bytes]:
    kept = [pair for pair in answer.headers if pair[0] not in SERVERS_OWN]
    return answer.status, sorted(kept), answer.body


@pytest.fixture(scope="module", params=[as_sync, as_coroutine], ids=["sync hooks", "coroutine hooks"])
def both(request: pytest.FixtureRequest) -> Iterator[Both]:
    app, journal = make_app(request.param)
    with serving(FlaskAsgi(app, pool_threads=2)) as live:
        yield Both(app, journal, live)


@pytest.mark.parametrize("kind", ["sync", "coroutine"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_bridge_answers_as_wsgi_does(both: Both, kind: str, case: Case) -> None:
    case = Case(f"/{kind}{case.target}", case.method, case.headers, case.body)
    both.journal.take()
    expected = both.through_wsgi(case)
    expected_journal = both.journal.take()
    answer = both.through_the_bridge(case)
    assert _comparable(answer) == _comparable(expected)
    # The response may be closed after the client has it all.
    assert both.journal.wait(lambda entries: len(entries) >= len(expected_journal)) == expected_journal
