"""MCP servers that the operator has allowed: each with its tools as they were when they were looked at.

Kept in DATA_DIR. What a server says of its tools later changes nothing here: descriptions and schemas go to language
models, so the operator is to have seen them.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agents.tools.tool import Tool, ToolCall, ToolFailed, ToolResult, UnusableTool
from bootstrap.mcp_descriptions import clean_description, clean_schema
from config import Settings
from providers.mcp import TOOL_NAME, McpServer, McpServerError
from utils.outbound import Guard
from utils.private_files import replace_file
from utils.processes import StartError
from utils.reach import Reach

SERVER_NAME = re.compile(r"[a-z][a-z0-9]{0,15}")
MAX_TOOLS = 64
_FILE = "mcp-servers.json"


class _Stored(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")


class StoredTool(_Stored):
    """A tool: how its server calls it, and what models are told of it."""

    name: str
    description: str
    parameters: dict[str, Any]
    has_side_effects: bool


class StoredServer(_Stored):
    """A server and its tools, by the names that bots use."""

    url: str
    headers: dict[str, str] = Field(default_factory=dict, repr=False)
    version: str
    tools: dict[str, StoredTool]


class _File(_Stored):
    servers: dict[str, StoredServer] = {}


def read_servers(data_dir: Path) -> dict[str, StoredServer]:
    """All that are allowed, by name.

    Raises:
        StartError: the file is damaged.
    """
    path = data_dir / _FILE
    try:
        return _File.model_validate_json(path.read_bytes()).servers
    except FileNotFoundError:
        return {}
    except (OSError, ValidationError) as exc:
        raise StartError(f"{path} cannot be read: remove it, and add its servers again with `flask mcp add`.") from exc


def write_servers(data_dir: Path, servers: Mapping[str, StoredServer]) -> None:
    """Keep *servers* and no others."""
    replace_file(data_dir / _FILE, _File(servers=dict(servers)).model_dump_json(indent=2).encode())


def make_guard(settings: Settings) -> Guard:
    """Lets servers be at public addresses, and at those of MCP_NETWORKS. Blocking."""
    return Guard.load(Reach(tuple(map(ip_network, settings.mcp_networks)), ports=None))


async def read_server(name: str, server: McpServer) -> StoredServer:
    """The server with the tools that it has now, as far as they can be offered.

    Raises:
        McpServerError: it does not answer, or has no such tools.
    """
    version, described = await server.find_tools()
    result = [tool for one in described[:MAX_TOOLS] if (tool := _read_tool(name, one, server))]
    counts = Counter(own_name for own_name, _ in result)
    # Of two that would have one name, bots and approvals would mean the wrong one.
    tools = {own_name: tool for own_name, tool in result if counts[own_name] == 1}
    if not tools:
        raise McpServerError("It has no tools that can be used.")
    return StoredServer(url=server.url, headers=dict(server.headers), version=version, tools=tools)


def _read_tool(server_name: str, described: Mapping[str, Any], server: McpServer) -> tuple[str, StoredTool] | None:
    """The tool as it is kept, under the name for bots; None where it cannot be offered."""
    name, parameters = described.get("name"), described.get("inputSchema")
    if not isinstance(name, str) or not TOOL_NAME.fullmatch(name) or not isinstance(parameters, dict):
        return None
    if "x-mcp-header" in str(parameters):  # wants arguments in headers, too
        return None
    hints = described.get("annotations")
    is_read_only = isinstance(hints, dict) and hints.get("readOnlyHint") is True
    text = clean_description(str(described.get("description") or described.get("title") or name))
    own_name = f"{server_name}_{re.sub('[^a-z0-9]+', '_', name.lower())}"[:48]
    try:
        schema = clean_schema(parameters)
        stored = StoredTool(name=name, description=text, parameters=schema, has_side_effects=not is_read_only)
        _make_tool(own_name, stored, server)
    except (UnusableTool, ValueError):
        return None
    return own_name, stored


def make_mcp_tools(settings: Settings) -> Iterator[Tool]:
    """The tools of all servers that are allowed.

    Raises:
        StartError, UnusableTool: what is kept of them cannot be used.
    """
    servers = read_servers(settings.data_dir)
    if not servers:
        return
    guard = make_guard(settings)
    for stored in servers.values():
        server = McpServer(stored.url, guard, stored.headers, stored.version)
        yield from (_make_tool(name, tool, server) for name, tool in stored.tools.items())


def _make_tool(name: str, stored: StoredTool, server: McpServer) -> Tool:
    async def run(call: ToolCall) -> ToolResult:
        try:
            return ToolResult(await server.call(stored.name, call.arguments, idempotency_key=call.idempotency_key))
        except McpServerError as exc:
            raise ToolFailed(str(exc)) from exc

    return Tool(name, stored.description, stored.parameters, run, has_side_effects=stored.has_side_effects)
