"""`flask mcp`: the MCP servers whose tools bots may use."""

import asyncio
import json
import sys
from urllib.parse import urlsplit

import click
from flask.cli import AppGroup, with_appcontext

from bootstrap.mcp_servers import SERVER_NAME, StoredServer, make_guard, read_server, read_servers, write_servers
from bootstrap.tools import list_tools
from cli.operator import get_settings, json_option
from providers.mcp import McpServer, McpServerError
from utils.printable import make_printable
from utils.private_files import ensure_private_folder
from utils.processes import StartError
from utils.validation import API_KEY

_RESTART = "Restart the service: it reads them when it starts."


@click.group("mcp", cls=AppGroup)
def mcp() -> None:
    """MCP servers, over HTTP alone, whose tools bots may use."""


@mcp.command("add")
@click.argument("name")
@click.argument("url")
@click.option("--with-key", is_flag=True, help="Read its key, sent as a bearer token: asked for, or from the input.")
@with_appcontext
def add(name: str, url: str, with_key: bool) -> None:
    """Allow the server at URL, and keep its tools as they are now; look at them. Again: as they are then."""
    _check(name, url)
    headers = {"Authorization": f"Bearer {_read_key()}"} if with_key else {}
    data_dir = ensure_private_folder(get_settings().data_dir, variable="DATA_DIR")
    servers = _read()
    try:
        result = asyncio.run(read_server(name, McpServer(url, make_guard(get_settings()), headers)))
    except McpServerError as error:
        raise click.ClickException(f"{make_printable(url)}: {make_printable(str(error))}") from error
    _refuse_name_clashes(result, servers.get(name))
    write_servers(data_dir, {**servers, name: result})
    _show({name: result})
    click.echo(_RESTART, err=True)


@mcp.command("list")
@json_option
@with_appcontext
def list_servers(as_json: bool) -> None:
    """The servers that are allowed, with their tools as models are told of them."""
    servers = _read()
    if as_json:
        click.echo(json.dumps({name: one.model_dump(exclude={"headers"}) for name, one in servers.items()}))
    else:
        _show(servers)


@mcp.command("remove")
@click.argument("name")
@with_appcontext
def remove(name: str) -> None:
    """Allow it no more."""
    servers = _read()
    if servers.pop(name, None) is None:
        raise click.ClickException(f"There is no server {make_printable(name)!r}.")
    write_servers(get_settings().data_dir, servers)
    click.echo(_RESTART, err=True)


def _check(name: str, url: str) -> None:
    if not SERVER_NAME.fullmatch(name):
        raise click.ClickException("NAME has 1 to 16 of a-z and 0-9, a letter first.")
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
        raise click.ClickException("URL is an address such as https://tools.example.org/mcp, without a login.")


def _refuse_name_clashes(server: StoredServer, former: StoredServer | None) -> None:
    """Refuse tools with the names of others: the service would not start with them."""
    try:
        names = {*list_tools(get_settings()).names} - (former.tools.keys() if former else set())
    except StartError as error:
        raise click.ClickException(str(error)) from error
    for own_name in sorted(names & server.tools.keys()):
        raise click.ClickException(f"There is another tool {own_name!r}: choose another NAME.")


def _read() -> dict[str, StoredServer]:
    try:
        return read_servers(get_settings().data_dir)
    except StartError as error:
        raise click.ClickException(str(error)) from error


def _read_key() -> str:
    text = click.prompt("Key", hide_input=True) if sys.stdin.isatty() else sys.stdin.readline(1_000)
    if not API_KEY.fullmatch(text.strip()):
        raise click.ClickException("The key has 1 to 500 visible ASCII characters.")
    return str(text.strip())


def _show(servers: dict[str, StoredServer]) -> None:
    if not servers:
        click.echo("No servers.")
    for name, server in servers.items():
        click.echo(make_printable(f"{name}  {server.url}  {server.version}"))
        for own_name, tool in server.tools.items():
            changes = "  changes something" if tool.has_side_effects else ""
            click.echo(make_printable(f"  {own_name}{changes}: {tool.description}"))
            click.echo(make_printable(f"    arguments: {json.dumps(tool.parameters, ensure_ascii=False)}"))
