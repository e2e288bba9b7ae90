"""The chat page's server answers to what the page is made of, and takes nothing else."""

import re
import socket
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.sync_api import Browser, ConsoleMessage, expect
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ClientState_pb2 import ClientState
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin

from clients.streamlit_chat.messages import ICON
from clients.streamlit_chat.origins import is_same_origin
from clients.streamlit_chat.texts import LANGUAGE_COOKIE
from tests.clients.api_stub import TOPICS, ApiStub, serve_stub
from tests.clients.browser_page import ask, expect_answers, marks, running_page
from tests.clients.page_socket import opened_page
from tests.security.canary import listening_canary

ID = "0f0e0d0c-0b0a-0908-0706-050403020100"
CLOSED = [
    f"/_stcore/upload_file/{ID}/{ID}",
    "/_stcore/upload_file/",
    f"//_stcore/upload_file/{ID}/{ID}",
    f"/x/../_stcore/upload_file/{ID}/{ID}",
    f"/_stcore/%75pload_file/{ID}/{ID}",
    "/_stcore/metrics",
    "/_stcore/script-health-check",
    "/_stcore/agent/interact",
    "/_stcore/agent/mcp",
    "/_stcore/agent/openapi.json",
    "/_stcore/stream",
    "/_stcore/bidi-components/x/y.js",
    "/component/x/index.html",
    "/app/static/x",
    "/auth/login",
    "/auth/logout",
    "/oauth2callback",
    "/any/other",
]
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND")


@pytest.fixture(scope="module")
def api() -> Iterator[ApiStub]:
    with serve_stub() as stub:
        yield stub


@pytest.fixture(scope="module")
def url(api: ApiStub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_page(tmp_path_factory.mktemp("page"), api.url, logo=str(ICON)) as address:
        yield address


def answered(url: str, request: bytes) -> bytes:
    """All that is answered to *request* until the connection is closed."""
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=20) as connection:
        connection.sendall(request)
        received = b""
        while chunk := connection.recv(65_536):
            received += chunk
        return received


@pytest.mark.parametrize("path", CLOSED)
def test_what_the_page_does_not_use_is_not_there(url: str, path: str) -> None:
    host = urlsplit(url).netloc
    for method in METHODS:
        head = f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n"
        assert answered(url, head.encode()).startswith(b"HTTP/1.1 404 "), method


@pytest.mark.parametrize("path", ["/", "/_stcore/health", "/_stcore/host-config", "/static/x.js", "/media/x.png"])
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_nothing_is_written_to_what_is_there(url: str, method: str, path: str) -> None:
    assert httpx.request(method, f"{url}{path}", content=b"x").status_code == 404


@pytest.mark.parametrize("path", [CLOSED[0], "/", "/_stcore/stream"])
@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_an_upload_is_refused_before_its_first_byte(url: str, method: str, path: str) -> None:
    """Its length is announced, and none of it is waited for: the connection is closed."""
    head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n"
    assert answered(url, head.encode()).startswith(b"HTTP/1.1 404 ")


def test_a_message_that_no_page_sends_is_not_waited_for(url: str) -> None:
    """Its length is announced: Streamlit would hold 200 MB of it in memory, for everybody who asks."""
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=20) as connection:
        key = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
        head = f"GET /_stcore/stream HTTP/1.1\r\nHost: {parts.netloc}\r\nUpgrade: websocket\r\n"
        connection.sendall(f"{head}Connection: Upgrade\r\n{key}\r\n\r\n".encode())
        received = b""
        while b"\r\n\r\n" not in received:
            received += connection.recv(65_536)
        assert received.startswith(b"HTTP/1.1 101 ")
        # The head of a binary frame of 9 MB, masked, and none of it.
        connection.sendall(b"\x82\xff" + (9_000_000).to_bytes(8, "big") + b"\0\0\0\0")
        while chunk := connection.recv(65_536):
            received += chunk
    assert (1009).to_bytes(2, "big") in received  # too big


def test_the_page_says_that_nothing_may_be_loaded_from_elsewhere(url: str) -> None:
    for path in ("/", "/_stcore/health", "/any/other"):
        headers = httpx.get(f"{url}{path}").headers
        rules = dict(rule.split(" ", 1) for rule in headers["content-security-policy"].split("; "))
        assert rules["default-src"] == "'none'"
        assert rules["img-src"] == "'self' data:"
        assert rules["connect-src"] == "'self'"
        assert "'unsafe-inline'" not in rules["script-src"]
        assert headers["x-dns-prefetch-control"] == "off"
        assert headers["referrer-policy"] == "no-referrer"


def test_no_other_site_frames_the_page_or_gives_it_commands(url: str) -> None:
    for path in ("/", "/_stcore/health", "/any/other"):
        headers = httpx.get(f"{url}{path}").headers
        assert "frame-ancestors 'self'" in headers["content-security-policy"].split("; ")
        assert headers["x-frame-options"] == "SAMEORIGIN"
    assert httpx.get(f"{url}/_stcore/host-config").json()["allowedOrigins"] == []


def test_a_page_of_another_port_or_host_does_not_get_the_visitors_socket(api: ApiStub, tmp_path: Path) -> None:
    """Browsers send it the visitor's cookie, for cookies know no ports."""
    with running_page(tmp_path, api.url) as url:
        address = url.replace("http", "ws", 1) + "/_stcore/stream"
        with connect(address, origin=Origin(url), proxy=None):
            pass
        others = ("http://localhost:1", url.replace("localhost", "127.0.0.1"), "https://evil.example", "null", "")
        for other in others:
            with pytest.raises(InvalidStatus, match="403"):
                connect(address, origin=Origin(other), proxy=None)
            assert f"Refused a WebSocket: Origin is {other!r}" in (tmp_path / "streamlit.log").read_text()


@pytest.mark.parametrize(
    ("origin", "host", "is_secure", "is_same"),
    [
        ("http://chat.example", "chat.example", False, True),
        ("https://chat.example", "chat.example", True, True),
        ("https://chat.example", "chat.example:443", True, True),
        ("https://chat.example", "chat.example", False, True),  # a proxy that is not believed has ended TLS
        ("http://chat.example", "chat.example", True, False),
        ("https://chat.example:8443", "chat.example", True, False),
        ("http://[::1]:8501", "[::1]:8501", False, True),
        ("http://chat.example:x", "chat.example", False, False),
        ("http://", "", False, False),
        ("file://chat.example", "chat.example", False, False),
    ],
)
def test_an_origin_is_compared_by_scheme_name_and_port(origin: str, host: str, is_secure: bool, is_same: bool) -> None:
    assert is_same_origin(origin, host, is_secure=is_secure) is is_same


@pytest.mark.long
def test_a_socket_that_sends_more_than_anybody_can_click_is_closed_and_others_go_on(url: str) -> None:
    """Each message begins the page's script anew: a hundred made the page wait for 20 s, for everybody."""
    message = BackMsg()
    message.rerun_script.query_string = ""
    address = url.replace("http", "ws", 1) + "/_stcore/stream"
    with opened_page(url) as other, connect(address, proxy=None, max_size=None, ping_interval=None) as hostile:
        with suppress(ConnectionClosed):
            for _ in range(200):
                hostile.send(message.SerializeToString())
            while True:  # until it is closed
                hostile.recv(timeout=30)
        assert (hostile.close_code, hostile.close_reason) == (1008, "Too many messages.")
        for _ in range(5):
            other.run()
            assert other.texts


@pytest.mark.long
@pytest.mark.parametrize(
    "events", ['[{"event": "rated", "value": "up"}' + ', {"event": "rated"}' * 30 + "]", "[" * 100_000]
)
def test_a_message_with_more_events_than_anybody_causes_closes_its_socket(url: str, events: str) -> None:
    """Streamlit calls the page for each: one message made fifty thousand ratings."""
    message = BackMsg()
    state = message.rerun_script.widget_states.widgets.add()
    state.id, state.json_trigger_value = "$$ID-x-actions-1__events", events
    address = url.replace("http", "ws", 1) + "/_stcore/stream"
    with connect(address, proxy=None, max_size=None, ping_interval=None) as hostile, suppress(ConnectionClosed):
        hostile.send(message.SerializeToString())
        while True:  # until it is closed
            hostile.recv(timeout=30)
    assert (hostile.close_code, hostile.close_reason) == (1008, "Too many messages.")


def test_no_tab_gives_the_server_commands_that_the_page_does_not_use(api: ApiStub, url: str) -> None:
    """One empties what the server keeps for all visitors: whose key it knows, how many wrong ones came, and topics."""
    clear, upload = BackMsg(clear_cache=True), BackMsg()
    upload.file_urls_request.file_names.append("x")
    spanish = {"Cookie": f"{LANGUAGE_COOKIE}=es"}  # in which no other test has asked for topics
    address = url.replace("http", "ws", 1) + "/_stcore/stream"
    with opened_page(url, spanish) as page:
        shown = page.texts
    api.behaviour = replace(api.behaviour, topics={**TOPICS, "questions": []})  # which is asked once a minute
    with connect(address, proxy=None, max_size=None) as stranger:
        for command in (clear, upload):
            stranger.send(command.SerializeToString())
        stranger.send(BackMsg(rerun_script=ClientState()).SerializeToString())
        kinds = set[str | None]()
        while "script_finished" not in kinds:
            kinds.add(ForwardMsg.FromString(stranger.recv(timeout=30, decode=False)).WhichOneof("type"))
    with opened_page(url, spanish) as page:
        assert page.texts == shown
    api.reset()
    assert "file_urls_response" not in kinds


def test_what_could_not_be_read_or_is_not_there_yet_is_asked_for_again(api: ApiStub, url: str) -> None:
    """One visitor's refused request took files and the microphone from all for a minute."""
    indonesian = {"Cookie": f"{LANGUAGE_COOKIE}=id"}  # in which no other test has asked for topics
    api.behaviour = replace(
        api.behaviour, topics={"titles": [], "languages": [], "questions": []}
    )  # as while the first documents are read
    with opened_page(url, indonesian) as page:
        assert not any("10 hari" in text or "Coba tanyakan" in text for text in page.texts)
    api.behaviour = replace(api.behaviour, lists=True, topics=TOPICS)
    with opened_page(url, indonesian) as page:
        assert any("10 hari" in text for text in page.texts), page.texts
        assert any("Coba tanyakan" in text for text in page.texts), page.texts
    api.reset()


@pytest.mark.long
def test_a_click_is_not_lost_where_another_message_follows_at_once(api: ApiStub, url: str) -> None:
    asked = [each["question"] for each in TOPICS["questions"]] * 2
    before = len(api.asked)
    for question in asked:
        with opened_page(url) as page:
            page.choose(question)
    assert [question for _, _, question in api.asked[before:]] == asked


def test_the_operators_logo_alone_may_be_elsewhere(api: ApiStub, tmp_path: Path) -> None:
    logo = "https://static.example.org:8443/a/logo.svg;x"
    with running_page(tmp_path, api.url, logo=logo) as url:
        policy = httpx.get(url).headers["content-security-policy"]
    assert "img-src 'self' data: https://static.example.org:8443;" in policy


@pytest.mark.long
@pytest.mark.browser
def test_the_browser_loads_nothing_from_elsewhere_and_all_of_the_page(chromium: Browser, url: str) -> None:
    refused: list[str] = []

    def note(message: ConsoleMessage) -> None:
        if "Content Security Policy" in message.text:
            refused.append(message.text)

    with listening_canary() as canary, chromium.new_context() as context:
        tab = context.new_page()
        tab.on("console", note)
        tab.goto(url)
        expect(tab.get_by_test_id("stSidebarLogo")).to_be_visible()
        ask(tab)
        expect_answers(tab)
        marks(tab).first.click()
        tab.wait_for_load_state("networkidle")
        assert refused == []
        tab.evaluate(_TRYING, canary.url)
        assert canary.heard == []
    assert len([each for each in refused if canary.url.removeprefix("http://") in each]) >= _WAYS
    assert not any(re.search(r"(?<!\.)localhost", each) for each in refused)


_WAYS = 7
# Whatever may slip into the page some day: each of these is tried from within it.
_TRYING = """async url => {
  const wait = (made, ...events) =>
    new Promise(done => { for (const event of events) made[event] = done; setTimeout(done, 3000) });
  const put = (kind, values) => {
    const made = document.createElement(kind);
    for (const [name, value] of Object.entries(values)) made.setAttribute(name, value);
    const loaded = wait(made, "onload", "onerror");
    document.body.append(made);
    return loaded;
  };
  await Promise.allSettled([
    put("img", {src: url + "/img"}),
    put("script", {src: url + "/script"}),
    put("link", {rel: "stylesheet", href: url + "/style"}),
    put("iframe", {src: url + "/frame"}),
    put("video", {src: url + "/video"}),
    put("object", {data: url + "/object"}),
    fetch(url + "/fetch", {mode: "no-cors"}),
    new Promise(done => { navigator.sendBeacon(url + "/beacon"); done() }),
    (async () => wait(new WebSocket(url.replace("http", "ws")), "onerror", "onopen"))(),
  ]);
}"""
