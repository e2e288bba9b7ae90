"""Turns beyond what a key, or a worker, may have under way: refused in words a client can act on, until one ends."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import httpx
import pytest

from tests.conftest import FAKE_MODEL, PAGE_KEY
from tests.fakes.model_server import FakeModelServer
from tests.service import Service

pytestmark = pytest.mark.long

QUESTION = "How much does a dormitory room cost?"
LIMITS = {"MAX_TURNS_PER_KEY": "2", "MAX_CONCURRENT_TURNS": "3", "MAX_WAITING_TURNS": "1"}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, model_server: FakeModelServer) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("limits")
    (folder / "one").mkdir()
    (folder / "one" / "rooms.md").write_text("# Rooms\n\nA dormitory room costs 850,000 rupiah a month.\n")
    fixed = {**FAKE_MODEL, "LLM_BASE_URL": model_server.base_url, "RATE_LIMIT_PER_HOUR": "100000"}
    fixed |= {"CHAT_PAGE_KEY": PAGE_KEY, "VISITOR_QUESTIONS_PER_DAY": "3"}
    with Service(folder / "data", KNOWLEDGE_DIR=str(folder / "one"), **fixed, **LIMITS) as service:
        yield service


@pytest.fixture
def slow(model_server: FakeModelServer) -> Iterator[FakeModelServer]:
    """A model whose answers take three seconds."""
    model_server.reset()
    model_server.configure(gap_ms=50, tokens=60)
    yield model_server
    model_server.reset()


@pytest.fixture(scope="module")
def tenants(running: Service) -> Iterator[list[httpx.Client]]:
    """Clients of three tenants, each with a key of its own."""
    with ExitStack() as stack:
        clients = [stack.enter_context(running.client(running.new_key(name))) for name in ("acme", "globex", "initech")]
        for client in clients:  # without a document that answers it, a question takes no time
            made = client.post("/v1/tenant/datasets/", json={"name": "Rooms"}).json()["id"]
            files = [("files", ("rooms.md", (running.data_dir.parent / "one" / "rooms.md").read_bytes()))]
            client.post(f"/v1/tenant/datasets/{made}/documents/upload", files=files).raise_for_status()
        for client in clients:
            running.wait_for(lambda client=client: ask(client).json().get("answered"))
        yield clients


def begin(client: httpx.Client, stack: ExitStack) -> httpx.Response:
    """A turn under way, until the stack is left: its client leaves then, which cancels it."""
    headers = {"Accept": "text/event-stream"}
    request = {"message": QUESTION, "session_id": None}
    return stack.enter_context(client.stream("POST", "/v1/chat", json=request, headers=headers))


def ask(client: httpx.Client) -> httpx.Response:
    return client.post("/v1/chat", json={"message": QUESTION, "session_id": None})


def under_way(service: Service) -> dict[str, int]:
    with service.client() as client:
        counted: dict[str, int] = client.get("/health?verbose").json()["admission"]
    return {name: counted[name] for name in ("turn_count", "waiting_turn_count")}


def test_turns_beyond_the_limits_are_refused_until_others_end(
    running: Service, tenants: list[httpx.Client], slow: FakeModelServer
) -> None:
    acme, globex, initech = tenants
    with ExitStack() as stack, ThreadPoolExecutor(1) as threads:
        assert [begin(acme, stack).status_code for _ in range(2)] == [200, 200]
        refused = ask(acme)  # by the limit of its key
        assert (refused.status_code, refused.headers["Retry-After"]) == (429, "1")
        assert refused.json()["type"] == "urn:pustaka:problem:too-many-at-once"
        assert begin(globex, stack).status_code == 200  # others have theirs
        waiting = threads.submit(ask, globex)
        running.wait_for(lambda: under_way(running) == {"turn_count": 3, "waiting_turn_count": 1})
        refused = ask(initech)  # by the worker's
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "2")
        assert refused.json()["type"] == "urn:pustaka:problem:overloaded"
        assert waiting.result(30).status_code == 200  # when the first had ended
    running.wait_for(lambda: under_way(running) == {"turn_count": 0, "waiting_turn_count": 0})
    slow.reset()  # three seconds a turn show nothing more
    assert [ask(client).status_code for client in tenants] == [200, 200, 200]


@pytest.mark.usefixtures("slow")
def test_a_turn_whose_client_leaves_gives_up_its_place(running: Service, tenants: list[httpx.Client]) -> None:
    acme = tenants[0]
    with ExitStack() as stack:
        assert [begin(acme, stack).status_code for _ in range(2)] == [200, 200]
        assert ask(acme).status_code == 429
    running.wait_for(
        lambda: under_way(running)["turn_count"] == 0, limit_s=2
    )  # sooner than the answers would have ended
    with ExitStack() as stack:
        assert begin(acme, stack).status_code == 200


@pytest.mark.usefixtures("slow")
def test_a_question_that_is_refused_gives_up_its_place(running: Service, tenants: list[httpx.Client]) -> None:
    acme = tenants[0]
    for _ in range(4):
        key = {"Idempotency-Key": "once"}
        acme.post("/v1/chat", json={"message": QUESTION, "session_id": "s"}, headers=key)
        again = acme.post("/v1/chat", json={"message": "Another?", "session_id": "s"}, headers=key)
        assert again.status_code == 422
    assert under_way(running) == {"turn_count": 0, "waiting_turn_count": 0}


@pytest.mark.usefixtures("slow")
def test_a_question_that_finds_no_place_is_none_of_those_that_a_visitor_may_ask(running: Service) -> None:
    with running.client() as client:
        running.wait_for(lambda: ask(client).json().get("answered"))
    with running.client(PAGE_KEY) as visitor, ExitStack() as stack:
        assert [begin(visitor, stack).status_code for _ in range(2)] == [200, 200]
        refused = [ask(visitor).json()["type"] for _ in range(3)]
        assert refused == ["urn:pustaka:problem:too-many-at-once"] * 3
        stack.close()
        running.wait_for(lambda: under_way(running)["turn_count"] == 0)
        assert [ask(visitor).status_code for _ in range(2)] == [200, 429]
    assert under_way(running)["turn_count"] == 0
