"""Files that are attached to a conversation: two tenants and two conversations have files under the same ids."""

import os
import time
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest

from api.visitors import VISITOR_HEADER, sign_visitor
from tests.api.test_models import make_keys
from tests.conftest import FAKE_MODEL, PAGE_KEY
from tests.fakes.model_server import FakeModelServer
from tests.ingestion.files import bomb, locked_pdf, pdf
from tests.service import Service, ask, await_knowledge, one_document

Json = dict[str, Any]
ROOMS, QUESTION = "How much does a dormitory room cost?", "What is the deposit of the Marigold lease?"
LEASE = "The deposit of the Marigold lease is 412 euros, to be paid before the keys are handed over."
OTHER_LEASE = LEASE.replace("412", "977")
MOST, MAX_BYTES = 2, 200_000


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("attached")
    variables = {
        "RATE_LIMIT_ENABLED": "true",
        "RATE_LIMIT_PER_HOUR": "100000",
        "CONVERSATION_FILES": str(MOST),
        "CONVERSATION_FILE_SIZE": str(MAX_BYTES),
        "VISITOR_FILES_PER_DAY": "3",
        "CHAT_PAGE_KEY": PAGE_KEY,
        "STATE_ENCRYPTION_KEYS": make_keys(),
    }
    with Service(folder / "data", **one_document(folder), **variables).watched() as running:
        await_knowledge(running, ROOMS)
        yield running


@pytest.fixture
def client(service: Service) -> Iterator[httpx.Client]:
    with service.client() as opened:
        yield opened


@pytest.fixture(scope="module")
def acme_key(service: Service) -> str:
    return service.new_key("acme", scopes=["all"])


@pytest.fixture
def acme(service: Service, acme_key: str) -> Iterator[httpx.Client]:
    with service.client(acme_key) as opened:
        yield opened


@pytest.fixture
def talk() -> str:
    """The id of a conversation that has not begun."""
    return f"talk-{uuid4().hex}"


def attach(client: httpx.Client, talk: str, name: str, data: bytes, **headers: str) -> httpx.Response:
    return client.post(f"/v1/conversations/{talk}/files", files={"files": (name, data)}, headers=headers)


def attached(client: httpx.Client, talk: str, name: str, data: bytes) -> Json:
    answered = attach(client, talk, name, data)
    assert answered.status_code == 201, answered.text
    shown: Json = answered.json()
    assert answered.headers["Location"] == f"/v1/conversations/{talk}/files/{shown['id']}"
    assert client.get(answered.headers["Location"]).json() == shown
    return shown


def names(client: httpx.Client, talk: str) -> list[str]:
    return [each["name"] for each in client.get(f"/v1/conversations/{talk}/files").json()["files"]]


def test_a_question_is_answered_from_the_file_of_its_conversation_and_of_no_other(
    client: httpx.Client, acme: httpx.Client, talk: str
) -> None:
    mine = attached(client, talk, "lease.pdf", pdf([LEASE], ["Pets are allowed."]))
    assert (mine["name"], mine["media_type"], mine["page_count"]) == ("lease.pdf", "application/pdf", 2)
    theirs = attached(acme, talk, "lease.txt", OTHER_LEASE.encode())
    answer = ask(client, QUESTION, talk).json()
    assert answer["answered"]
    assert "412" in answer["answer"]
    [cited] = answer["citations"]
    assert (cited["document_id"], cited["page"], cited["version"]) == (mine["id"], 1, None)
    assert (cited["source"], cited["quote"], cited["link"]) == ("lease.pdf", LEASE, None)
    other = ask(acme, QUESTION, talk).json()
    assert "977" in other["answer"]
    assert {each["document_id"] for each in other["citations"]} == {theirs["id"]}
    for stranger in (client, acme):
        # A question that was answered from a file is not answered with that elsewhere.
        elsewhere = ask(stranger, QUESTION, f"{talk}-elsewhere").json()
        assert not any(figure in elsewhere["answer"] for figure in ("412", "977"))
        assert names(stranger, f"{talk}-elsewhere") == []
    assert ask(client, ROOMS, talk).json()["citations"][0]["document_id"] != mine["id"]


def test_nothing_but_its_conversation_finds_a_file(client: httpx.Client, talk: str) -> None:
    before = client.get("/v1/tenant/documents").json()
    mine = attached(client, talk, "lease.md", f"# The Marigold lease\n\n{LEASE}".encode())
    assert "412" in ask(client, QUESTION, talk).json()["answer"]
    assert client.get("/v1/tenant/documents").json() == before
    assert client.get(f"/v1/tenant/documents/{mine['id']}").status_code == 404
    assert client.get(f"/v1/documents/{mine['id']}/view").status_code in (400, 404)
    found = [
        client.post("/v1/search", json={"query": QUESTION, "limit": 20}),
        client.get("/v1/topics", params={"document_id": mine["id"]}),
        client.get("/v1/topics"),
        *(client.post("/v1/mcp", json=call(tool, **{name: QUESTION})) for tool, name in MCP_TOOLS),
        client.post("/v1/mcp", json=call("fetch", id=mine["id"])),
        client.post("/v1/chat/completions", json={"messages": [{"role": "user", "content": QUESTION}], "model": "x"}),
    ]
    for answered in found:
        assert "412 euros" not in answered.text, answered.url  # ids may have "412" in them
        assert "Marigold lease is" not in answered.text, answered.url


MCP_TOOLS = [("search", "query"), ("ask", "question")]


def call(tool: str, **arguments: str) -> Json:
    return {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/call",
        "params": {"name": tool, "arguments": arguments},
    }


def test_a_new_conversation_from_an_answer_does_not_have_the_file(client: httpx.Client, talk: str) -> None:
    attached(client, talk, "lease.txt", LEASE.encode())
    run_id = ask(client, QUESTION, talk).json()["run_id"]
    fork = client.post(f"/v1/conversations/{talk}/answers/{run_id}/fork", json={})
    assert fork.status_code == 201, fork.text
    assert names(client, fork.json()["id"]) == []
    new = ask(client, "Before what is the deposit of Marigold to be paid?", fork.json()["id"]).json()
    assert "keys are handed" not in new["answer"]


def test_a_file_that_is_deleted_is_asked_no_more(client: httpx.Client, acme: httpx.Client, talk: str) -> None:
    mine = attached(client, talk, "lease.txt", LEASE.encode())
    path = f"/v1/conversations/{talk}/files/{mine['id']}"
    assert acme.get(path).status_code == acme.delete(path).status_code == 404
    assert client.delete(f"/v1/conversations/{talk}-elsewhere/files/{mine['id']}").status_code == 404
    assert names(client, talk) == ["lease.txt"]
    assert client.delete(path).status_code == 204
    assert client.delete(path).status_code == 404
    assert "412" not in ask(client, QUESTION, talk).json()["answer"]


@pytest.mark.parametrize("begins", [True, False])
@pytest.mark.parametrize("permanent", ["true", "false"])
def test_files_are_deleted_with_their_conversation(
    service: Service, client: httpx.Client, talk: str, *, begins: bool, permanent: str
) -> None:
    attached(client, talk, "lease.txt", LEASE.encode())
    if begins:
        assert "412" in ask(client, QUESTION, talk).json()["answer"]
    folders = set(kept(service))
    assert client.delete(f"/v1/conversations/{talk}", params={"permanent": permanent}).status_code == 204
    assert names(client, talk) == []
    assert len(folders - set(kept(service))) == 1
    if begins and permanent == "false":
        assert client.post(f"/v1/conversations/{talk}/restore").status_code == 200
        assert names(client, talk) == []
    assert client.delete(f"/v1/conversations/{talk}").status_code == (204 if begins and permanent == "false" else 404)


def test_an_operator_who_deletes_a_conversation_deletes_its_files(
    service: Service, client: httpx.Client, acme: httpx.Client, talk: str
) -> None:
    for each in (client, acme):
        attached(each, talk, "lease.txt", LEASE.encode())
        ask(each, QUESTION, talk)
    done = service.flask("state", "delete", talk, "--tenant", "acme", "--yes")
    assert done.returncode == 0, done.stderr
    assert acme.get(f"/v1/conversations/{talk}/files").json()["files"] == []
    assert len(client.get(f"/v1/conversations/{talk}/files").json()["files"]) == 1


def test_a_trace_keeps_no_text_of_a_file(client: httpx.Client, acme: httpx.Client, talk: str) -> None:
    for each in (client, acme):
        attached(each, talk, "lease.txt", LEASE.encode())
        run_id = ask(each, QUESTION, talk).json()["run_id"]
        trace = each.get(f"/v1/conversations/{talk}/answers/{run_id}/trace").json()
        assert trace["passages"][0]["title"], "it is there"
        assert {one["excerpt"] for one in trace["passages"] if one["version"] is None} == {""}
        assert "412 euros" not in str(trace["passages"])


def test_a_file_that_cannot_be_read_any_more_is_deleted_and_holds_up_no_other(
    service: Service, client: httpx.Client, acme: httpx.Client, talk: str
) -> None:
    made = [attached(each, talk, "lease.txt", LEASE.encode()) for each in (client, acme)]
    [kept] = (service.data_dir / "chat_docs").glob(f"acme/*/{made[1]['id']}.file")
    kept.write_bytes(b"damaged")
    path = f"/v1/conversations/{talk}/files"
    assert acme.get(path).json()["files"] == []
    second = attached(acme, talk, "other.txt", OTHER_LEASE.encode())
    assert acme.delete(f"{path}/{made[1]['id']}").status_code == 204
    assert [file["id"] for file in acme.get(path).json()["files"]] == [second["id"]]
    assert client.delete(f"{path}/{second['id']}").status_code == 404
    assert client.delete(f"{path}/{'x' * 36}").status_code == 404
    assert len(client.get(path).json()["files"]) == 1


def test_a_bot_that_is_not_there_takes_no_files(client: httpx.Client, acme: httpx.Client, talk: str) -> None:
    for each in (client, acme):
        path = f"/v1/conversations/{talk}/files"
        refused = each.post(path, files={"files": ("lease.txt", LEASE.encode())}, params={"bot_id": "nobody"})
        assert refused.status_code == 404


def test_files_go_when_all_conversations_are_deleted(client: httpx.Client, acme: httpx.Client, talk: str) -> None:
    for each in (client, acme):
        attached(each, talk, "lease.txt", LEASE.encode())
        ask(each, QUESTION, talk)
    wait(lambda: talk in {each["id"] for each in client.get("/v1/conversations").json()["conversations"]})
    while client.post("/v1/conversations/clear", json={}).json()["remaining_count"]:
        pass
    assert names(client, talk) == []
    assert names(acme, talk) == ["lease.txt"]


def test_files_expire_with_their_conversation(service: Service, client: httpx.Client, talk: str) -> None:
    former = set(kept(service))
    attached(client, talk, "lease.txt", LEASE.encode())
    [folder] = set(kept(service)) - former
    [file] = (service.data_dir / "chat_docs").rglob(f"{folder}/*.file")
    assert b"Marigold" not in file.read_bytes(), "it is encrypted where conversations are"
    [path] = (service.data_dir / "chat_docs").rglob(folder)
    used = time.time() - 86_300
    os.utime(path, (used, used))
    assert "412" in ask(client, QUESTION, talk).json()["answer"]
    assert path.stat().st_mtime > used + 80_000, "a question makes them last as long as the conversation"
    expired = time.time() - 86_500
    os.utime(path, (expired, expired))
    assert names(client, talk) == []
    assert "412" not in ask(client, QUESTION, f"{talk}").json()["answer"]
    attached(client, talk, "new.txt", b"Pets are allowed.")
    assert names(client, talk) == ["new.txt"], "an expired one does not come back with a new one"


def kept(service: Service) -> list[str]:
    """The folders of conversations."""
    return [path.name for path in (service.data_dir / "chat_docs").glob("*/*") if path.is_dir()]


def test_hostile_and_unfit_files_are_refused_in_plain_words(client: httpx.Client, talk: str) -> None:
    for name, data, status, reason in (
        ("nothing.txt", b"", 422, "empty"),
        ("program.exe", b"MZ" + bytes(100), 422, "not read"),
        ("noname", LEASE.encode(), 422, "extension"),
        ("damaged.pdf", b"%PDF-1.7\n" + os.urandom(2_000), 422, "damaged"),
        ("locked.pdf", locked_pdf("secret"), 422, "password"),
        ("bomb.docx", bomb(100_000_000), 422, ""),
        ("large.txt", b"word " * (MAX_BYTES // 5 + 1), 413, "larger than 0.2 MB"),
        ("long.txt", text_of(200_000), 413, "too much text"),
    ):
        refused = attach(client, talk, name, data)
        assert refused.status_code == status, (name, refused.text)
        assert refused.headers["Content-Type"] == "application/problem+json"
        assert reason in refused.json()["detail"], name
    assert attach(client, talk, "huge.txt", bytes(MAX_BYTES + 100_000)).status_code == 413
    assert client.post(f"/v1/conversations/{talk}/files", json={}).status_code == 415
    assert client.post(f"/v1/conversations/{talk}/files", files={"other": ("a.txt", b"a")}).status_code == 400
    two = [("files", ("a.txt", b"a")), ("files", ("b.txt", b"b"))]
    assert client.post(f"/v1/conversations/{talk}/files", files=two).status_code == 400
    assert attach(client, "not.an.id", "a.txt", b"a").status_code == 400
    assert names(client, talk) == []
    traversing = attached(client, talk, "../../etc/\u202epasswd.txt", LEASE.encode())
    assert traversing["name"] == "passwd.txt"


def text_of(size_bytes: int) -> bytes:
    """Sentences that are all different."""
    lines = [f"Sentence {number} tells of matter {number * 7}.\n\n" for number in range(size_bytes // 30)]
    return "".join(lines).encode()[:size_bytes]


def test_a_conversation_has_no_more_files_than_it_may(client: httpx.Client, talk: str) -> None:
    for number in range(MOST):
        attached(client, talk, f"{number}.txt", LEASE.encode())
    refused = attach(client, talk, "more.txt", LEASE.encode())
    assert refused.status_code == 409
    assert f"at most {MOST} files" in refused.json()["detail"]
    assert names(client, talk) == [f"{number}.txt" for number in range(MOST)]
    part = client.get(f"/v1/conversations/{talk}/files?limit=1").json()
    rest = client.get(part["next"]).json()
    assert [each["files"][0]["name"] for each in (part, rest)] == ["0.txt", "1.txt"]
    assert (part["total"], rest["offset"], rest["next"]) == (MOST, 1, None)


def test_a_file_that_is_sent_again_with_its_idempotency_key_is_attached_once(client: httpx.Client, talk: str) -> None:
    key = {"Idempotency-Key": uuid4().hex}
    first, second = (attach(client, talk, "lease.txt", LEASE.encode(), **key) for _ in range(2))
    assert first.json() == second.json()
    assert names(client, talk) == ["lease.txt"]


def test_visitors_have_their_own_files_and_a_limit_of_a_day(service: Service, talk: str) -> None:
    with service.client(PAGE_KEY) as page:
        tokens = [sign_visitor(PAGE_KEY, uuid4().hex, int(time.time()) + 3_600) for _ in range(2)]
        one, other = ({VISITOR_HEADER: token} for token in tokens)
        assert page.get("/v1/terms", headers=one).json()["most_file_count"] == MOST
        for number in range(3):
            assert attach(page, f"{talk}-{number}", "lease.txt", LEASE.encode(), **one).status_code == 201
        assert page.get(f"/v1/conversations/{talk}-0/files", headers=other).json()["files"] == []
        refused = attach(page, f"{talk}-4", "lease.txt", LEASE.encode(), **one)
        assert refused.status_code == 429
        assert "as many files" in refused.json()["detail"]
        assert attach(page, f"{talk}-0", "lease.txt", LEASE.encode(), **other).status_code == 201


def wait(condition: Any, limit_s: float = 10.0) -> None:
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.long
def test_a_language_model_is_shown_the_file_that_it_is_to_summarise(
    tmp_path_factory: pytest.TempPathFactory, model_server: FakeModelServer, talk: str
) -> None:
    folder = tmp_path_factory.mktemp("model")
    variables = {**one_document(folder), **FAKE_MODEL, "LLM_BASE_URL": model_server.base_url}
    with Service(folder / "data", **variables, CONVERSATION_FILES="1") as service, service.client() as client:
        model_server.reset()
        attached(client, talk, "lease.txt", LEASE.encode())
        for question in ("Please summarise this file", "Resume el archivo adjunto", "Ringkas berkas ini"):
            answer = ask(client, question, talk).json()
            assert answer["answered"], question
            assert {each["source"] for each in answer["citations"]} == {"lease.txt"}
            assert LEASE in str(model_server.requests()[-1]["body"]["messages"]), question
        count = len(model_server.requests())
        assert not ask(client, "Please summarise this file", f"{talk}-elsewhere").json()["answered"]
        assert len(model_server.requests()) == count, "there is nothing to summarise"
