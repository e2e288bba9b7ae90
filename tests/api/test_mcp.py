"""The Model Context Protocol: by the official client in both of its generations, and by requests that are wrong."""

import json
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import httpx
import httpx2
import pytest
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client

from auth.scopes import Scope
from tests.fakes.model_server import FakeModelServer
from tests.service import Service, ask

MCP = "/v1/mcp"
CURRENT = "2026-07-28"
QUESTION = "How much does a dormitory room cost?"
QUESTIONS = (QUESTION, "¿Cuánto cuesta la matrícula?", "Kapan pendaftaran dibuka?", "Who won the 2018 world cup?")
SAME = ("answer", "answered", "confidence")
META = {
    "io.modelcontextprotocol/protocolVersion": CURRENT,
    "io.modelcontextprotocol/clientCapabilities": {},
}
HEADERS = {"MCP-Protocol-Version": CURRENT, "Accept": "application/json, text/event-stream"}
GENERATIONS = pytest.mark.parametrize(("mode", "version"), [("auto", CURRENT), ("legacy", "2025-11-25")])


@asynccontextmanager
async def connect(service: Service, key: str | None = None, mode: str = "auto") -> AsyncIterator[Client]:
    """The official client, with a key as its users set it."""
    headers = {"Authorization": f"Bearer {service.key if key is None else key}"}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=30, trust_env=False) as http,
        Client(streamable_http_client(f"{service.url}{MCP}", http_client=http), mode=mode) as client,
    ):
        yield client


async def call(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    """What a tool gives, the same as an object and as text."""
    given = await client.call_tool(tool, arguments)
    assert not given.is_error, given.content
    assert json.loads(given.content[0].text) == given.structured_content  # type: ignore[union-attr]
    assert isinstance(given.structured_content, dict)
    return given.structured_content


async def fail(client: Client, tool: str, **arguments: Any) -> str:
    """What a tool says of why it failed."""
    given = await client.call_tool(tool, arguments)
    assert given.is_error
    return str(given.content[0].text)  # type: ignore[union-attr]


@GENERATIONS
async def test_an_assistant_searches_reads_and_asks(service: Service, mode: str, version: str) -> None:
    async with connect(service, mode=mode) as client:
        assert client.protocol_version == version
        assert client.server_info
        assert client.server_info.name == "pustaka"
        assert client.instructions
        tools = (await client.list_tools()).tools
        assert [tool.name for tool in tools] == ["search", "fetch", "ask", "get_answer"]
        found = (await call(client, "search", query=QUESTION, limit=3))["results"]
        assert len({one["id"] for one in found}) == len(found) == 3
        document = await call(client, "fetch", id=found[0]["id"])
        assert (document["id"], document["title"]) == (found[0]["id"], found[0]["title"])
        assert found[0]["text"] in document["text"]
        assert document["metadata"]["next_offset"] is None
        for url in (found[0]["url"], document["url"]):
            assert httpx.get(url, trust_env=False).status_code == 200
        answers = {question: await call(client, "ask", question=question) for question in QUESTIONS}
    assert answers[QUESTION]["citations"][0]["id"] == found[0]["id"]
    assert answers[QUESTION]["citations"][0]["quote"] in document["text"]
    with service.client() as http:
        for question, answer in answers.items():
            same = ask(http, question, uuid4().hex).json()
            assert answer["status"] == "completed"
            assert {name: answer[name] for name in SAME} == {name: same[name] for name in SAME}
            assert [one["quote"] for one in answer["citations"]] == [one["quote"] for one in same["citations"]]
    assert {answer["answered"] for answer in answers.values()} == {True, False}


@GENERATIONS
async def test_documents_are_resources(service: Service, mode: str, version: str) -> None:
    async with connect(service, mode=mode) as client:
        listed = await client.list_resources()
        dormitory = next(one for one in listed.resources if "student-dormitory" in one.name)
        [content] = (await client.read_resource(dormitory.uri)).contents
        assert "dormitory" in content.text  # type: ignore[union-attr]
        [template] = (await client.list_resource_templates()).resource_templates
        assert template.uri_template.startswith("pustaka://documents/{id}")
        with pytest.raises(MCPError) as refused:
            await client.read_resource("pustaka://documents/nothing")
        assert refused.value.error.code == (-32602 if mode == "auto" else -32002)
        with pytest.raises(MCPError, match="cursor"):
            await client.list_resources(cursor="nonsense")


async def test_a_long_document_is_read_in_parts_and_by_nobody_of_another_tenant(
    service: Service, north: httpx.Client, south: httpx.Client
) -> None:
    secret = uuid4().hex
    content = "\n\n".join(f"Paragraph {number} of the long report {secret}." for number in range(1200))
    dataset = north.post("/v1/tenant/datasets", json={"name": secret}).json()["id"]
    made = north.post(f"/v1/tenant/datasets/{dataset}/documents", json={"title": "Report", "content": content}).json()
    path = f"/v1/tenant/documents/{made['id']}"
    service.wait_for(lambda: north.get(path).json()["chunk_count"])  # it is read; the vectors of it would take a minute
    uri = f"pustaka://documents/{made['id']}"
    async with connect(service, north.headers["X-API-Key"]) as client:
        first = await call(client, "fetch", id=made["id"])
        offset = first["metadata"]["next_offset"]
        assert len(first["text"]) == offset == 50_000
        rest = await call(client, "fetch", id=made["id"], offset=offset)
        assert rest["metadata"]["next_offset"] is None
        assert len(first["text"] + rest["text"]) == rest["metadata"]["length"]
        assert (first["text"] + rest["text"]).count(secret) == 1200
        [content_part] = (await client.read_resource(uri)).contents
        assert content_part.meta
        [last] = (await client.read_resource(content_part.meta["next"])).contents
        assert last.text == rest["text"]  # type: ignore[union-attr]
        assert "offset" in await fail(client, "fetch", id=made["id"], offset=10**6)
        asked = await call(client, "ask", question="What is paragraph 7 of the long report?")
    async with connect(service, south.headers["X-API-Key"]) as client:
        assert "not found" in await fail(client, "fetch", id=made["id"])
        assert "not found" in await fail(client, "get_answer", run_id=asked["run_id"])
        with pytest.raises(MCPError, match="not found"):
            await client.read_resource(uri)
        seen = [await call(client, "search", query=secret), (await client.list_resources()).model_dump_json()]
        assert secret not in json.dumps(seen)
        assert made["id"] not in json.dumps(seen)
    north.delete(f"/v1/tenant/datasets/{dataset}")


async def test_an_answer_that_takes_longer_is_got_by_its_run(service: Service) -> None:
    async with connect(service) as client:
        begun = await call(client, "ask", question=f"{QUESTION} {uuid4().hex}", wait_s=0)
        assert begun["status"] == "processing"
        assert begun["answer"] is None
        assert "get_answer" in begun["note"]
        ended = await call(client, "get_answer", run_id=begun["run_id"])
        assert ended["status"] == "completed"
        assert ended["conversation_id"] == begun["conversation_id"]
        again = await call(client, "ask", question="And with a bathroom?", conversation_id=ended["conversation_id"])
        assert again["conversation_id"] == ended["conversation_id"]
        assert "Run not found" in await fail(client, "get_answer", run_id="nothing")
        assert "wait_s" in await fail(client, "ask", question=QUESTION, wait_s=51)
        assert "'nobody'" in await fail(client, "ask", question=QUESTION, bot_id="nobody")


@GENERATIONS
async def test_who_waits_for_an_answer_is_told_of_progress(
    service_with_model: Service, model_server: FakeModelServer, mode: str, version: str
) -> None:
    model_server.reset()
    model_server.configure(piece_characters=4, gap_ms=150, replies={QUESTION: f"{'A room ' * 22}[1]."})
    told: list[tuple[float, str | None]] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        told.append((progress, message))

    async with connect(service_with_model, mode=mode) as client:
        asked = {"question": QUESTION, "wait_s": 40}
        answer = (await client.call_tool("ask", asked, progress_callback=note)).structured_content
        assert answer["status"] == "completed"
        assert told[:2] == [(1, "1 s"), (2, "2 s")]
        quick = await client.call_tool("ask", {"question": " "}, progress_callback=note)
        assert quick.is_error
        with pytest.raises(MCPError, match="Unknown tool"):
            await client.call_tool("nothing", {}, progress_callback=note)
    model_server.reset()


def test_who_leaves_while_progress_is_told_ends_the_run(
    service_with_model: Service, model_server: FakeModelServer
) -> None:
    model_server.reset()
    model_server.configure(piece_characters=4, gap_ms=150, replies={QUESTION: f"{'A room ' * 50}[1]."})
    asked = {"question": QUESTION, "conversation_id": uuid4().hex}
    body = request_of("tools/call", {"name": "ask", "arguments": asked, "_meta": {**META, "progressToken": "t"}})
    with service_with_model.client() as http:
        with http.stream("POST", MCP, json=body, headers={**TO_SEARCH, "Mcp-Name": "ask"}) as response:
            assert response.headers["content-type"].startswith("text/event-stream")
            events = response.iter_raw()  # the connection closes once nothing refers to it
            assert b'"progressToken":"t","progress":1' in next(events)
            run_id = http.get(f"/v1/conversations/{asked['conversation_id']}").json()["run_id"]
        service_with_model.wait_for(lambda: http.get(f"/v1/runs/{run_id}").json()["status"] != "processing")
        assert http.get(f"/v1/runs/{run_id}").json()["status"] == "cancelled"
    model_server.reset()


@pytest.mark.parametrize("token", [True, None, {"a": 1}, "x" * 256, 1.5])
def test_what_is_no_token_of_progress_changes_nothing(client: httpx.Client, token: object) -> None:
    body = request_of("tools/call", {"name": "search", "arguments": {"query": "x"}})
    body["params"]["_meta"] = {**META, "progressToken": token}
    assert client.post(MCP, json=body, headers=TO_SEARCH).json()["result"]["isError"] is False


@GENERATIONS
async def test_a_key_sees_and_uses_the_tools_of_its_scopes_alone(service: Service, mode: str, version: str) -> None:
    async with connect(service, service.new_key("north", {Scope.SEARCH}), mode) as client:
        assert [tool.name for tool in (await client.list_tools()).tools] == ["search"]
        assert client.server_capabilities.resources is None
        await call(client, "search", query=QUESTION)
        for refused in (
            client.call_tool("fetch", {"id": "nothing"}),
            client.call_tool("ask", {"question": QUESTION}),
            client.list_resources(),
            client.read_resource("pustaka://documents/nothing"),
        ):
            with pytest.raises(MCPError, match="scope") as error:
                await refused
            assert error.value.error.code == 403
            assert error.value.error.data["required_scope"] in (Scope.DOCUMENTS_READ, Scope.CHAT_WRITE)


async def test_without_a_valid_key_nothing_is_told(service: Service) -> None:
    for mode in ("auto", "legacy"):
        with pytest.raises((MCPError, ExceptionGroup)) as refused:
            async with connect(service, "nobody's", mode):
                pass
        assert "API key is not valid" in repr(refused.value)


def request_of(method: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
    """A request of the current version."""
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": {"_meta": META, **(params or {})}}


SEARCH = request_of("tools/call", {"name": "search", "arguments": {"query": "x"}})
TO_SEARCH = {**HEADERS, "Mcp-Method": "tools/call", "Mcp-Name": "search"}
LIST = request_of("tools/list")
TO_LIST = {**HEADERS, "Mcp-Method": "tools/list"}
WITHOUT_META = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
LATER = "2027-01-01"
OF_LATER = request_of("tools/list", {"_meta": {**META, "io.modelcontextprotocol/protocolVersion": LATER}})


@pytest.mark.parametrize(
    ("body", "headers", "status", "code"),
    [
        (b"{", TO_LIST, 400, -32700),
        (b"", TO_LIST, 400, -32700),
        (b'{"a": 1, "a": 2}', TO_LIST, 400, -32700),
        ([LIST], TO_LIST, 400, -32600),
        ({**LIST, "jsonrpc": "1.0"}, TO_LIST, 400, -32600),
        ({**LIST, "id": None}, TO_LIST, 400, -32600),
        ({**LIST, "id": True}, TO_LIST, 400, -32600),
        ({**LIST, "id": 10**30}, TO_LIST, 400, -32600),
        ({**LIST, "params": []}, TO_LIST, 400, -32600),
        ({"jsonrpc": "2.0", "id": 1, "result": {}}, HEADERS, 400, -32600),
        (WITHOUT_META, TO_LIST, 400, -32602),
        ({**WITHOUT_META, "params": {"_meta": {**META, next(reversed(META)): 1}}}, TO_LIST, 400, -32602),
        (LIST, {}, 400, -32020),
        (LIST, {"MCP-Protocol-Version": CURRENT}, 400, -32020),
        (LIST, {**TO_LIST, "Mcp-Method": "tools/call"}, 400, -32020),
        (LIST, {**TO_LIST, "MCP-Protocol-Version": LATER}, 400, -32020),
        (LIST, {**TO_LIST, "MCP-Protocol-Version": "2025-11-25"}, 400, -32020),
        (SEARCH, {**TO_SEARCH, "Mcp-Name": "fetch"}, 400, -32020),
        (SEARCH, {**TO_SEARCH, "Mcp-Name": "=?base64?not*base64?="}, 400, -32020),
        (OF_LATER, {**TO_LIST, "MCP-Protocol-Version": LATER}, 400, -32022),
        (WITHOUT_META, {"MCP-Protocol-Version": "1900-01-01"}, 400, -32022),
        (request_of("prompts/list"), {**HEADERS, "Mcp-Method": "prompts/list"}, 404, -32601),
        (request_of("initialize"), {**HEADERS, "Mcp-Method": "initialize"}, 404, -32601),
        (request_of("tools/call", {"name": "drop"}), {**TO_SEARCH, "Mcp-Name": "drop"}, 400, -32602),
        # Clients of former versions take another status than 200 for the end of the connection.
        ({**WITHOUT_META, "method": "prompts/list"}, {"MCP-Protocol-Version": "2025-06-18"}, 200, -32601),
    ],
)  # fmt: skip
def test_a_wrong_message_is_refused_in_json_rpc(
    client: httpx.Client, body: Any, headers: dict[str, str], status: int, code: int
) -> None:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    refused = client.post(MCP, content=content, headers={"Content-Type": "application/json", **headers})
    told = refused.json()
    assert (refused.status_code, told["error"]["code"]) == (status, code), told
    assert told["error"]["message"]
    assert refused.headers["content-type"] == "application/json"
    if code == -32022:
        assert CURRENT in told["error"]["data"]["supported"]


def test_what_http_refuses_is_told_in_json_rpc_as_well(service: Service, client: httpx.Client) -> None:
    too_large = client.post(MCP, json=request_of("tools/list", {"padding": "x" * 70_000}), headers=TO_LIST)
    assert (too_large.status_code, too_large.json()["error"]["code"]) == (413, 413)
    plain = client.post(MCP, content=b"{}", headers={"Content-Type": "text/plain"})
    assert (plain.status_code, plain.json()["error"]["code"]) == (415, 415)
    with service.client("") as stranger:
        refused = stranger.post(MCP, json=LIST, headers=TO_LIST)
    assert (refused.status_code, refused.json()["error"]["code"]) == (401, 401)
    assert "Bearer" in refused.headers["www-authenticate"]
    assert client.get(MCP, headers=HEADERS).status_code == 405


def test_arguments_that_a_tool_does_not_take_come_back_to_the_model(client: httpx.Client) -> None:
    for arguments, named in (
        ({}, "query"),
        ({"query": " "}, "query"),
        ({"query": "x" * 5_001}, "5000 characters"),
        ({"query": ["x"] * 50}, "query"),
        ({"query": "x", "limit": 10**30}, "limit"),
        ({"query": "x", "tenant_id": "acme"}, "tenant_id"),
        ([], "body"),
    ):
        body = request_of("tools/call", {"name": "search", "arguments": arguments})
        result = client.post(MCP, json=body, headers=TO_SEARCH).json()["result"]
        assert result["isError"] is True
        assert named in result["content"][0]["text"]


def test_a_packed_name_counts_as_what_it_says_and_notifications_are_taken(client: httpx.Client) -> None:
    packed = f"=?base64?{b64encode(b'search').decode()}?="
    assert (
        client.post(MCP, json=SEARCH, headers={**TO_SEARCH, "Mcp-Name": packed}).json()["result"]["resultType"]
        == "complete"
    )
    told = client.post(MCP, json={"jsonrpc": "2.0", "method": "notifications/initialized"})
    assert (told.status_code, told.content) == (202, b"")
