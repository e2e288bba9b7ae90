"""`flask bot`: the bots of a tenant, made, listed, changed and removed."""

import json
from typing import Any, cast

import click
from flask.cli import AppGroup
from sqlalchemy.orm import Session

from auth.principal import DEFAULT_BOT, Principal
from bootstrap.tools import list_tools
from cli.operator import get_settings, json_option, read_as_operator, tenant_option, write_as_operator
from cli.tables import align_columns
from domain import bots
from domain.bots import MAX_BOTS, BotAnswers, StoredBot
from domain.paging import Part
from utils.errors import NotFound

_HEAD = ("BOT", "STATUS", "VERSION", "NAME", "ANSWERS")
_tenant = tenant_option(help="Whose bot it is.")


def _answer_options(command: Any) -> Any:
    """The options that say how a bot answers."""
    for option in (
        click.option("--institution", help="Whose documents it answers from."),
        click.option("--language-policy", help="In which language it answers."),
        click.option("--instructions", help="What its language model is told beside the rules."),
        click.option("--dataset", "dataset_ids", multiple=True, help="What it answers from; may be repeated."),
        click.option("--top-k", type=click.IntRange(1, 20), help="Passages an answer rests on at most."),
        click.option("--model", "model_id", help="The model that it answers by, as `flask model list` names it."),
        click.option("--unsupported-sentences", type=click.Choice(["mark", "drop", "refuse"])),
        click.option("--tool", "tools", multiple=True, help="A tool it may use; may be repeated."),
        click.option(
            "--approve", "approvals", multiple=True, help="A tool of it that waits for approval; may be repeated."
        ),
        click.option(
            "--origin", "allowed_origins", multiple=True, help="A website whose visitors may ask it; may be repeated."
        ),
    ):
        command = option(command)
    return command


@click.group("bot", cls=AppGroup)
def bot() -> None:
    """Bots. What is not said of one is as the settings say."""


@bot.command("list")
@_tenant
@json_option
def list_all(tenant: str, as_json: bool) -> None:
    """List the bots, oldest first. The default bot is among them once something is said of it."""
    with read_as_operator(tenant) as (session, ctx):
        found = bots.list_bots(session, ctx, Part(MAX_BOTS)).rows
        answers = bots.list_answers(session, ctx, found)
        rows = [_describe(StoredBot(row, answers.get(row.bot_id, {}))) for row in found]
    click.echo(json.dumps(rows, ensure_ascii=False) if as_json else _format_table(rows))


@bot.command("create")
@click.argument("bot_id")
@_tenant
@click.option("--name", required=True, help="As people read it.")
@_answer_options
def create(bot_id: str, tenant: str, name: str, **options: Any) -> None:
    """Make a bot; BOT_ID is how requests name it. `default` is the one that requests without a name are for."""
    with write_as_operator(tenant) as (session, ctx):
        stored = bots.create_bot(session, ctx, bot_id, name, _read(options))
        click.echo(f"Bot {stored.bot.bot_id} made, version {stored.bot.version}.")


@bot.command("set")
@click.argument("bot_id")
@_tenant
@click.option("--name", help="As people read it.")
@click.option("--on/--off", "is_enabled", default=None, help="Whether it answers.")
@click.option(
    "--clear", multiple=True, type=click.Choice(sorted(BotAnswers.__annotations__)), help="As the settings say."
)
@_answer_options
def change(
    bot_id: str, tenant: str, name: str | None, is_enabled: bool | None, clear: tuple[str, ...], **options: Any
) -> None:
    """Change a bot, from its next answer on, on every worker. What is not named stays."""
    with write_as_operator(tenant) as (session, ctx):
        former = _lock(session, ctx, bot_id).answers
        merged = {key: value for key, value in {**former, **_read(options)}.items() if key not in clear}
        changed = bots.change_bot(
            session, ctx, bot_id, name=name, is_enabled=is_enabled, answers=cast(BotAnswers, merged)
        )
        state = "on" if changed.bot.is_enabled else "off"
        click.echo(f"Bot {bot_id} is {state}, version {changed.bot.version}.")


@bot.command("remove")
@click.argument("bot_id")
@_tenant
def remove(bot_id: str, tenant: str) -> None:
    """Remove a bot; `flask bot set BOT_ID --off` can be undone. The default one answers as the settings say then."""
    with write_as_operator(tenant) as (session, ctx):
        bots.remove_bot(session, ctx, bot_id)
    click.echo(f"Bot {bot_id} is removed. Its conversations stay until they expire.")


def _lock(session: Session, ctx: Principal, bot_id: str) -> StoredBot:
    """The bot, also the default one of which nothing has been said yet."""
    try:
        return bots.lock_bot(session, ctx, bot_id)
    except NotFound:
        if bot_id != DEFAULT_BOT:
            raise
        return bots.create_bot(session, ctx, bot_id, "Default", BotAnswers())


def _read(options: dict[str, Any]) -> BotAnswers:
    if options.get("tools"):
        list_tools(get_settings()).check(options["tools"], field="tools")
    values = {name: list(value) if isinstance(value, tuple) else value for name, value in options.items()}
    return cast(BotAnswers, {name: value for name, value in values.items() if value not in (None, [])})


def _describe(stored: StoredBot) -> dict[str, Any]:
    row = stored.bot
    return {"id": row.bot_id, "name": row.name, "enabled": row.is_enabled, "version": row.version, **stored.answers}


def _format_table(rows: list[dict[str, Any]]) -> str:
    if not rows:
        return "No bots: the default one answers as the settings say."
    lines = [_HEAD]
    for row in rows:
        answers = ", ".join(f"{name} {_shorten(row[name])}" for name in BotAnswers.__annotations__ if name in row)
        lines.append((row["id"], "on" if row["enabled"] else "off", str(row["version"]), row["name"], answers))
    return "\n".join(align_columns(lines))


def _shorten(value: object) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= 40 else f"{text[:39]}…"
