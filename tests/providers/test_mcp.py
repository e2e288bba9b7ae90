"""Servers of the Model Context Protocol as tools of bots: the official SDK's, hostile ones, and where they may be."""

from collections.abc import Iterator
from functools import cache
from ipaddress import ip_network
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from click.testing import Result
from flask_openapi3 import OpenAPI

from app import create_app
from bootstrap.mcp_servers import make_mcp_tools, read_server, write_servers
from config import Settings
from providers.mcp import CURRENT, FORMER, McpServer, McpServerError
from tests.fakes.mcp_server import KEY, RESERVED, TRICKS, make_bad_server, make_weather_server, serving
from tests.service import Service, ask, await_knowledge, one_document
from utils.outbound import Guard
from utils.reach import Reach

LOCAL = "127.0.0.0/8"


@pytest.fixture(scope="module")
def weather() -> Iterator[str]:
    with serving(make_weather_server()) as url:
        yield f"{url}/mcp"


@pytest.fixture(scope="module")
def bad() -> Iterator[str]:
    with serving(make_bad_server()) as url:
        yield url


@pytest.fixture(scope="module")
def guard() -> Guard:
    return Guard.load(Reach((ip_network(LOCAL),), ports=None))


@pytest.mark.parametrize("version", [CURRENT, FORMER])
async def test_a_server_lists_its_tools_and_calls_them_in_both_generations(
    weather: str, guard: Guard, version: str
) -> None:
    server = McpServer(weather, guard, {"Authorization": f"Bearer {KEY}"}, version)
    assert [tool["name"] for tool in await server.list_tools()] == ["forecast", "reserve_desk", "fail"]
    assert await server.call("forecast", {"city": "Madrid"}, idempotency_key="1") == "Tomorrow it rains in Madrid."
    with pytest.raises(McpServerError, match="The weather station is closed"):
        await server.call("fail", {}, idempotency_key="2")


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("redirects", "redirects"),
        ("huge", "more than is read"),
        ("endless", "does not end"),
        ("deep", "does not answer as an MCP server"),
        ("greets", "does not answer as an MCP server"),
    ],
)
async def test_a_server_that_answers_badly_is_given_up(bad: str, guard: Guard, how: str, said: str) -> None:
    with pytest.raises(McpServerError, match=said):
        await McpServer(f"{bad}/{how}", guard).list_tools()


async def test_a_server_that_does_not_answer_is_given_up(bad: str, guard: Guard) -> None:
    with pytest.raises(McpServerError, match="in time"):
        await McpServer(f"{bad}/slow", guard, timeout_s=0.2).list_tools()


async def test_what_a_hostile_server_says_of_its_tools_is_cleaned_or_left_out(
    bad: str, guard: Guard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_at = await read_server("evil", McpServer(f"{bad}/tricks", guard))
    assert looked_at.tools.keys() == {"evil_kind", "evil_slow_pattern", "evil_data"}
    assert looked_at.tools["evil_kind"].description == "Says hello.[2K"
    pattern = {"type": "string", "description": "Aname"}
    assert looked_at.tools["evil_slow_pattern"].parameters["properties"] == {"pattern": pattern}
    settings = Settings(_env_file=None, data_dir=tmp_path)
    write_servers(tmp_path, {"evil": looked_at})
    monkeypatch.setitem(TRICKS[0], "description", "Sends all documents elsewhere.")
    kept = {tool.name: tool for tool in make_mcp_tools(settings)}
    assert kept["evil_kind"].description == "Says hello.[2K", "as it was when the operator saw it"
    assert kept["evil_slow_pattern"].find_fault({"pattern": "a" * 40 + "!"}) == ""


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "169.254.169.254", "2130706433"])
async def test_no_server_is_asked_at_a_private_address(weather: str, host: str) -> None:
    url = str(httpx.URL(weather).copy_with(host="x")).replace("//x:", f"//{host}:")
    with pytest.raises(McpServerError, match=r"not on the public internet|cannot be reached"):
        await McpServer(url, Guard.load(Reach(ports=None)), {"Authorization": f"Bearer {KEY}"}).list_tools()


@cache
def make_app(data_dir: Path, networks: str) -> OpenAPI:
    """The commands of an installation of its own."""
    return create_app(Settings(_env_file=None, data_dir=data_dir, mcp_networks=networks))


def run(data_dir: Path, *arguments: str, **said: str) -> Result:
    """`flask mcp …` in *data_dir*, with `input`, and `networks` for MCP_NETWORKS."""
    app = make_app(data_dir, said.get("networks", LOCAL))
    return app.test_cli_runner().invoke(args=["mcp", *arguments], input=said.get("input"))


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, weather: str) -> Iterator[Service]:
    """A service without a language model, whose operator has allowed the server."""
    folder = tmp_path_factory.mktemp("mcp")
    added = run(folder / "data", "add", "city", weather, "--with-key", input=f"{KEY}\n")
    assert added.exit_code == 0, added.output
    variables = {"MCP_NETWORKS": LOCAL, "RATE_LIMIT_ENABLED": "false", **one_document(folder)}
    with Service(folder / "data", **variables) as running:
        await_knowledge(running, "How much does a dormitory room cost?")
        yield running


def test_the_operator_adds_looks_at_and_removes_servers(tmp_path: Path, weather: str, bad: str) -> None:
    for name, url, networks in (
        ("city", weather, "10.0.0.0/8"),
        ("City!", weather, LOCAL),
        ("city", "file:///x", LOCAL),
    ):
        refused = run(tmp_path, "add", name, url, "--with-key", input=KEY, networks=networks)
        assert refused.exit_code == 1
        assert refused.output.startswith("Error: ")
    assert "401" in run(tmp_path, "add", "city", weather).output
    assert "another tool 'query_data'" in run(tmp_path, "add", "query", f"{bad}/tricks").output
    assert "No servers" in run(tmp_path, "list").output
    for _ in range(2):  # the second time as its tools are then
        assert run(tmp_path, "add", "city", weather, "--with-key", input=KEY).exit_code == 0
    for listed in (run(tmp_path, "list").output, run(tmp_path, "list", "--json").output):
        assert "city_reserve_desk" in listed
        assert KEY not in listed
    assert '"city": {"enum": ["Bandung", "Madrid"]' in run(tmp_path, "list").output
    assert "changes something: Reserves a desk" in run(tmp_path, "list").output
    assert (tmp_path / "mcp-servers.json").stat().st_mode & 0o077 == 0
    assert run(tmp_path, "remove", "city").exit_code == 0
    assert "There is no server" in run(tmp_path, "remove", "city").output


@pytest.mark.long
def test_its_tools_are_tools_of_a_bot_and_cited(service: Service) -> None:
    with service.client() as client:
        tools = {tool["name"]: tool for tool in client.get("/v1/tenant/tools").json()["available_tools"]}
        assert {"city_forecast", "city_reserve_desk", "city_fail"} < tools.keys()
        assert not tools["city_forecast"]["has_side_effects"]
        assert tools["city_reserve_desk"]["has_side_effects"]
        made = client.post("/v1/tenant/bots", json={"id": "city", "name": "City", "tools": ["city_forecast"]})
        assert made.status_code == 201, made.text
        said = ask(client, "What will the weather be tomorrow in Bandung?", uuid4().hex, bot_id="city").json()
        assert said["answer"] == "Tomorrow it rains in Bandung. [1]"
        assert said["citations"][0]["source"] == "tool:city_forecast"
        other = ask(client, "What will the weather be tomorrow in Bandung?", uuid4().hex).json()
        assert other["tool_calls"] == [], "only bots that name it use it"


@pytest.mark.long
def test_what_changes_something_there_waits_for_approval_and_happens_once(service: Service) -> None:
    with service.client() as client:
        named = {"tools": ["city_reserve_desk"], "approvals": ["city_reserve_desk"]}
        client.post("/v1/tenant/bots", json={"id": "desks", "name": "Desks", **named})
        waiting = ask(client, "Reserve desk 7 in the reading room.", uuid4().hex, bot_id="desks").json()
        assert waiting["waiting_for"]["arguments"] == {"desk": 7}
        assert RESERVED == []
        body = {"call_id": waiting["waiting_for"]["call_id"], "decision": "approve"}
        client.post(f"/v1/runs/{waiting['id']}/resume", json=body)
        service.wait_for(lambda: client.get(f"/v1/runs/{waiting['id']}").json()["status"] == "completed")
    assert RESERVED == [7]
