"""`flask api-key`: the keys of tenants, made, listed, rotated and revoked."""

import json
import re
from datetime import datetime, timedelta
from typing import Any

import click
from flask.cli import AppGroup

from auth.principal import DEFAULT_BOT, DEFAULT_TENANT
from auth.scopes import Scope
from cli.operator import json_option, make_tenant, open_records, read_as_operator, tenant_option, write_as_operator
from cli.tables import align_columns
from domain import keys
from domain.bots import get_bot
from domain.models import ApiKey, now
from utils.printable import make_printable

_HEAD = ("KEY", "STATUS", "CREATED", "EXPIRES", "LAST USED", "NAME", "SCOPES")
_KEY_ID = re.compile(r"(?:ak_live_)?([a-z0-9]{8})")
_tenant = tenant_option(help="Whose key it is.")


class _KeyIdType(click.ParamType[str]):
    """The id of a key, as `list` shows it or without its beginning; no whole key, which a shell would remember."""

    name = "key"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        form = _KEY_ID.fullmatch(str(value))
        if form is None:
            self.fail("A key is named by its first 16 characters: ak_live_ and eight more. See flask api-key list.")
        return form[1]


class _CreateByDefault(AppGroup):
    """`flask api-key acme` is `flask api-key create acme`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the command in where there is none."""
        is_named = bool(args) and (args[0] in self.commands or args[0] == "--help")
        return super().parse_args(ctx, args if is_named else ["create", *args])


@click.group("api-key", cls=_CreateByDefault)
def api_key() -> None:
    """API keys. Without a command: create."""


@api_key.command("create")
@click.argument("tenant", default=DEFAULT_TENANT)
@click.option("--name", default="made by flask api-key", help="What the key is for.")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice([keys.ALL, *sorted(scope.value for scope in Scope)]),
    help="What it may do; may be repeated. Without: everything but conversations:all; with --bot, talking to it.",
)
@click.option("--expires-in-days", type=click.IntRange(1, 3650), help="Without: it does not expire.")
@click.option("--bot", "bot_id", help="The bot that it may talk to, and nothing else. Without: any of the tenant.")
def create(tenant: str, name: str, scopes: tuple[str, ...], expires_in_days: int | None, bot_id: str | None) -> None:
    """Make a key for TENANT, and the tenant if it is new. The key is shown this once."""
    expires_at = now() + timedelta(days=expires_in_days) if expires_in_days else None
    with open_records() as database:
        ctx = make_tenant(database, tenant)
        with database.open_write_session() as session:
            if bot_id not in (None, DEFAULT_BOT):
                get_bot(session, ctx, str(bot_id))
            _, presented = keys.create_key(
                session, ctx.tenant_id, name, scopes=scopes or None, expires_at=expires_at, bot_id=bot_id
            )
    click.echo(f"API_KEY='{presented}'")


@api_key.command("list")
@click.argument("tenant", default=DEFAULT_TENANT)
@json_option
def list_all(tenant: str, as_json: bool) -> None:
    """List the keys of TENANT, the newest first. API_KEY and CHAT_PAGE_KEY are settings, and not among them."""
    with read_as_operator(tenant) as (session, ctx):
        rows = [_describe(key) for key in keys.list_keys(session, ctx)]
    click.echo(json.dumps(rows) if as_json else _format_table(rows))


@api_key.command("revoke")
@click.argument("key", type=_KeyIdType())
@_tenant
def revoke(key: str, tenant: str) -> None:
    """Let KEY open nothing any more; every worker knows it within 10 seconds."""
    with write_as_operator(tenant) as (session, ctx):
        revoked = keys.revoke_key(session, ctx, key)
    click.echo(f"{revoked.prefix} is revoked; every worker refuses it within 10 seconds.")


@api_key.command("rotate")
@click.argument("key", type=_KeyIdType())
@click.option(
    "--overlap-hours",
    type=click.IntRange(0, 720),
    default=24,
    show_default=True,
    help="How long the present secret is still valid; 0: not at all.",
)
@_tenant
def rotate(key: str, overlap_hours: int, tenant: str) -> None:
    """Give KEY a new secret, shown this once. Its scopes, expiry and conversations stay."""
    with write_as_operator(tenant) as (session, ctx):
        rotated, presented = keys.rotate_key(session, ctx, key, overlap=timedelta(hours=overlap_hours))
    click.echo(f"API_KEY='{presented}'")
    until = rotated.former_until.isoformat(timespec="seconds") if overlap_hours and rotated.former_until else "now"
    click.echo(f"The former secret is valid until {until}.", err=True)


def _describe(key: ApiKey) -> dict[str, Any]:
    usable = keys.is_usable(key)
    return {
        "key": key.prefix,
        "status": "active" if usable else "revoked" if key.revoked_at else "expired",
        "created_at": _format_moment(key.created_at),
        "expires_at": _format_moment(key.expires_at),
        "last_used_at": _format_moment(key.last_used_at),
        "revoked_at": _format_moment(key.revoked_at),
        "name": key.name,
        "scopes": sorted(keys.read_principal(key).scopes) if key.bot_id else key.scopes,
        "bot_id": key.bot_id,
    }


def _format_moment(moment: datetime | None) -> str | None:
    return moment.isoformat(timespec="seconds") if moment else None


def _format_table(rows: list[dict[str, Any]]) -> str:
    if not rows:
        return "No keys."
    lines = [
        (
            row["key"],
            row["status"],
            (row["created_at"] or "")[:10],
            (row["expires_at"] or "never")[:10],
            (row["last_used_at"] or "never")[:16].replace("T", " "),
            make_printable(row["name"]),
            " ".join(row["scopes"]),
        )
        for row in rows
    ]
    return "\n".join(align_columns([_HEAD, *lines]))
