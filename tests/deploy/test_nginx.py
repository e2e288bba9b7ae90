"""The example for Nginx, as visitors, integrators and impostors meet it."""

import json
import socket
import ssl
import time
from collections.abc import Iterator
from uuid import uuid4

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin, Subprotocol

from tests.conftest import FAKE_MODEL
from tests.deploy.nginx_server import NAME, NginxServer
from tests.fakes.model_server import FakeModelServer
from tests.service import Service, free_port

pytestmark = pytest.mark.long

KEY = "a-key-of-the-default-tenant"
Site = tuple[NginxServer, Service]
QUESTION = {"message": "How much does a dormitory room cost?"}


@pytest.fixture(scope="module")
def site(
    tmp_path_factory: pytest.TempPathFactory, model_server: FakeModelServer
) -> Iterator[tuple[NginxServer, Service]]:
    """Nginx, and behind it the API and the chat page."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "documents").mkdir()
    (folder / "documents" / "rooms.md").write_text("# Rooms\n\nA dormitory room costs 850,000 rupiah a month.\n")
    variables = {
        **FAKE_MODEL,
        "LLM_BASE_URL": model_server.base_url,
        "API_KEY": KEY,
        "KNOWLEDGE_DIR": str(folder / "documents"),
        "STREAMLIT_ENABLED": "true",
        "STREAMLIT_PORT": str(free_port()),
        "FORWARDED_ALLOW_IPS": "127.0.0.1",
    }
    service = Service(folder / "data", **variables)
    with NginxServer(api_port=service.port, page_port=int(variables["STREAMLIT_PORT"])) as nginx, service:
        yield nginx, service


@pytest.fixture
def nginx(site: Site) -> NginxServer:
    return site[0]


def test_the_example_is_what_nginx_takes(nginx: NginxServer) -> None:
    checked = nginx.checked()
    assert checked.returncode == 0, checked.stderr
    assert "warn" not in checked.stderr


def test_plain_http_leads_to_https_by_the_configured_name(nginx: NginxServer) -> None:
    address = f"http://127.0.0.1:{nginx.plain_port}"
    answer = httpx.get(f"{address}/v1/chat?a=b", headers={"Host": "evil.example"}, trust_env=False)
    assert answer.status_code == 301
    assert answer.headers["Location"] == f"https://{NAME}/v1/chat?a=b"


def test_a_challenge_of_lets_encrypt_is_answered_over_plain_http(nginx: NginxServer) -> None:
    challenge = nginx.folder / "acme" / ".well-known" / "acme-challenge" / "token"
    challenge.parent.mkdir(parents=True)
    challenge.write_text("proof")
    answer = httpx.get(f"http://127.0.0.1:{nginx.plain_port}/.well-known/acme-challenge/token", headers={"Host": NAME})
    assert (answer.status_code, answer.text) == (200, "proof")


@pytest.mark.parametrize(
    ("version", "spoken"),
    [(ssl.TLSVersion.TLSv1_1, None), (ssl.TLSVersion.TLSv1_2, "TLSv1.2"), (ssl.TLSVersion.TLSv1_3, "TLSv1.3")],
)
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated")
def test_old_tls_is_refused_and_new_is_spoken(nginx: NginxServer, version: ssl.TLSVersion, spoken: str | None) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")  # else it is we who refuse the old one
    context.minimum_version = context.maximum_version = version
    with socket.create_connection(("127.0.0.1", nginx.port)) as raw:
        if spoken is None:
            with pytest.raises(ssl.SSLError, match="PROTOCOL_VERSION"):
                context.wrap_socket(raw)
        else:
            with context.wrap_socket(raw) as secure:
                assert secure.version() == spoken


def test_an_answer_goes_on_word_by_word(site: Site, model_server: FakeModelServer) -> None:
    nginx, service = site
    with service.client() as client:
        service.wait_until_found(client, QUESTION["message"])
    model_server.reset()
    model_server.configure(gap_ms=50, tokens=60)  # three seconds
    headers = {"X-API-Key": KEY, "X-Conversation-Id": uuid4().hex, "Accept": "text/event-stream"}
    with nginx.client(**headers) as client, client.stream("POST", "/v1/chat", json=QUESTION) as answer:
        events = [(line, time.monotonic()) for line in answer.iter_lines() if line.startswith("event: ")]
    model_server.reset()
    (first_s, *_), (last, last_s) = [at_s for name, at_s in events if name == "event: token"], events[-1]
    assert last == "event: done"
    assert last_s - first_s > 1.5


def test_a_client_is_who_nginx_sees_and_not_who_it_says_it_is(site: Site) -> None:
    nginx, service = site
    this_id = uuid4().hex
    forged = {"X-Forwarded-For": "203.0.113.9", "Forwarded": "for=203.0.113.9", "X-Real-IP": "203.0.113.9"}
    with nginx.client(address="127.0.0.2", **forged, **{"X-Request-Id": this_id}) as client:
        assert client.get("/v1/conversations/none").status_code == 401
    service.wait_for(lambda: this_id in service.logged())
    (line,) = (json.loads(line) for line in service.logged().splitlines() if this_id in line)
    assert line["client"] == "127.0.0.2"


def test_a_body_over_the_limit_is_refused(nginx: NginxServer) -> None:
    with nginx.client(**{"X-API-Key": KEY}) as client:
        refused = client.post("/api/load-document", content=b" " * (16 * 1024**2 + 1))
        assert (refused.status_code, refused.headers["Content-Type"]) == (413, "text/html"), "not by the API"
        assert (
            client.post(
                "/api/load-document", content=b" " * (16 * 1024**2 - 1), headers={"Content-Type": "application/json"}
            ).status_code
            == 400
        )


def test_files_larger_than_that_may_be_uploaded(nginx: NginxServer) -> None:
    with nginx.client(**{"X-API-Key": KEY}) as client:
        dataset = client.post("/v1/tenant/datasets/", json={"name": "Uploads"}).json()["id"]
        files = [("files", (f"{name}.txt", b"All rooms have a desk. " * 400_000)) for name in ("one", "two")]
        sent = client.post(f"/v1/tenant/datasets/{dataset}/documents/upload", files=files)
        assert sent.status_code == 202, sent.text


def test_a_recording_of_the_largest_size_reaches_the_api(nginx: NginxServer) -> None:
    with nginx.client(**{"X-API-Key": KEY}) as client:
        for path in ("/v1/audio", "/v1/audio/transcriptions"):
            sent = client.post(path, files={"audio": ("a.wav", bytes(16 * 1024**2))})
            assert sent.status_code in (404, 409), path  # by the API, where no voice is set up


def test_a_document_is_loaded_the_old_way(nginx: NginxServer) -> None:
    with nginx.client(**{"X-API-Key": KEY}) as client:
        refused = client.post("/api/load-document", json={})
        assert (refused.status_code, refused.headers["Content-Type"]) == (400, "application/problem+json")


def test_the_chat_page_opens_with_careful_headers(nginx: NginxServer) -> None:
    with nginx.client() as client:
        page = client.get("/")
        assert "<title>" in page.text
        assert client.get("/_stcore/agent/openapi.json").status_code == 404
        assert client.get("/docs").status_code == 200
    for name in ("Strict-Transport-Security", "X-Content-Type-Options", "X-Frame-Options", "Referrer-Policy"):
        assert len(page.headers.get_list(name)) == 1, name
    policies = page.headers.get_list("Content-Security-Policy")
    assert len(policies) == 2  # Nginx's and the page's own, which is stricter; browsers obey both
    for policy in policies:
        assert "img-src 'self' data:;" in policy
        assert "connect-src 'self';" in policy


def test_nothing_can_be_uploaded_to_the_chat_page(nginx: NginxServer) -> None:
    with nginx.client() as client:
        for path in ("/_stcore/upload_file/a/b", "//_stcore/upload_file/a/b", "/_stcore/%75pload_file/a/b"):
            assert client.put(path, content=b"x" * 100_000).status_code in (404, 413), path
            assert client.put(path, content=b"x").status_code == 404, path


def test_a_visitor_is_known_by_the_address_that_nginx_sees_and_by_a_cookie_for_tls_alone(nginx: NginxServer) -> None:
    with nginx.client(**{"X-Forwarded-Proto": "http"}) as client:
        cookie = client.get("/").headers["set-cookie"]
    assert cookie.startswith("__Host-pustaka_visitor=v1.")
    assert "; Secure" in cookie


def test_the_apis_headers_are_there_once(nginx: NginxServer) -> None:
    with nginx.client() as client:
        answer = client.get("/v1/conversations/none")
    for name in ("Strict-Transport-Security", "X-Content-Type-Options", "X-Frame-Options", "Content-Security-Policy"):
        assert len(answer.headers.get_list(name)) == 1, name


def test_no_id_and_no_token_is_logged_and_the_apis_own_log_is_found_by_the_requests_id(nginx: NginxServer) -> None:
    canary, this_id = f"canary-{uuid4().hex}", uuid4().hex
    paths = [
        "/v1/conversations/{}",
        "/v1/documents/{}/view",
        "/v1/runs/{}/events",
        "/v1/{}",
        "/{}",
        "/media/{}",
        "/{}/x",
    ]
    with nginx.client(**{"X-Request-Id": this_id, "X-API-Key": canary}) as client:
        for path in paths:
            client.get(path.format(canary), params={"token": canary})
        client.post(f"/v1/conversations/{canary}", content=b" " * (16 * 1024**2 + 1))  # which Nginx itself refuses
        client.get(f"/v1/conversations/{canary}", headers={"X-Long": canary * 1000})
    nginx.wait_for_log('"GET /v1/runs HTTP/1.1" 401 ')
    nginx.wait_for_log(this_id)
    assert canary not in nginx.logged()
    assert canary not in nginx.errors()


def test_an_api_that_is_away_is_logged_without_ids(nginx: NginxServer) -> None:
    canary = f"canary-{uuid4().hex}"
    with NginxServer(api_port=free_port(), page_port=free_port()) as alone, alone.client() as client:
        assert client.get(f"/v1/conversations/{canary}", params={"token": canary}).status_code == 502
        alone.wait_for_log('"GET /v1/conversations HTTP/1.1" 502 ')
        assert canary not in alone.logged() + alone.errors()


def test_the_log_tells_the_beginning_of_every_route_of_the_api(nginx: NginxServer) -> None:
    with nginx.client() as client:
        paths = client.get("/openapi.json").json()["paths"]
        beginnings = {"/".join(path.split("/")[:3]) for path in paths}
        for path in sorted(beginnings):
            client.get(path)
    for path in beginnings:
        nginx.wait_for_log(f'"GET {path} HTTP/1.1"')


def test_health_tells_everybody_no_more_than_whether_the_service_works(nginx: NginxServer) -> None:
    with nginx.client(address="127.0.0.2") as elsewhere:
        assert set(elsewhere.get("/health").json()) == {"status", "version", "redis", "timestamp"}
        assert elsewhere.get("/health?verbose").status_code == 401
        assert elsewhere.get("/ready").json() == {"status": "ready"}


def test_one_address_cannot_ask_for_the_page_without_end(nginx: NginxServer) -> None:
    with nginx.client(address="127.0.0.3") as client, nginx.client(address="127.0.0.4") as other:
        statuses = {client.get("/favicon.png").status_code for _ in range(250)}
        assert statuses == {200, 429}
        assert other.get("/favicon.png").status_code == 200


def open_page(nginx: NginxServer, origin: str) -> ClientConnection:
    """The WebSocket that the page of *origin* opens."""
    return connect(
        f"wss://{NAME}:{nginx.port}/_stcore/stream",
        sock=socket.create_connection(("127.0.0.1", nginx.port)),
        ssl=nginx.trust,
        origin=Origin(origin),
        subprotocols=[Subprotocol("streamlit")],
        proxy=None,
        open_timeout=60,
    )


def test_the_pages_websocket_opens(nginx: NginxServer) -> None:
    with open_page(nginx, nginx.url) as opened:
        assert opened.subprotocol == "streamlit"


def test_the_websocket_is_not_for_pages_of_other_sites(nginx: NginxServer) -> None:
    with pytest.raises(InvalidStatus, match="403"):
        open_page(nginx, "https://evil.example")
