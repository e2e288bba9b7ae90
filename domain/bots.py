"""A tenant's bots: made, listed, changed, switched off and removed. Each change of how one answers is a version."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypedDict, cast

from sqlalchemy import bindparam
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from auth.principal import DEFAULT_BOT, Principal
from domain.chat_models import lock_model
from domain.db import Database
from domain.models import ApiKey, Bot, BotVersion, Dataset, now
from domain.paging import Part, Rows, read_part
from domain.scoping import prepare, scoped, scoped_count
from utils.errors import Conflict, NotFound
from utils.validation import BOT_ID, ORIGIN, refuse_field

MAX_BOTS = 1_000  # of a tenant
_IS_PRESENT = Bot.removed_at.is_(None)
_STATE = prepare(Bot, Bot.is_enabled, Bot.version).where(Bot.bot_id == bindparam("bot_id"), _IS_PRESENT)


class BotAnswers(TypedDict, total=False):
    """How a bot answers, where it differs from the settings; see `agents.bots.BotConfig`."""

    institution: str
    language_policy: str
    instructions: str
    dataset_ids: list[str]
    top_k: int
    model_id: str
    unsupported_sentences: Literal["mark", "drop", "refuse"]
    tools: list[str]
    approvals: list[str]
    allowed_origins: list[str]


@dataclass(frozen=True, slots=True)
class StoredBot:
    """A bot in one of its versions."""

    bot: Bot
    answers: BotAnswers


@dataclass(frozen=True, slots=True)
class BotState:
    """Whether a bot answers, and in which version."""

    is_enabled: bool
    version: int


def create_bot(session: Session, ctx: Principal, bot_id: str, name: str, answers: BotAnswers) -> StoredBot:
    """Add a bot to the caller's tenant; flushed, not committed.

    Raises:
        BadInput: *bot_id* is no id of a bot, or a tool is to wait for approval that it does not use.
        NotFound: the tenant has not all of these datasets, or not this model.
        Conflict: there is one of this id, or there are as many as a tenant may have.
    """
    if not BOT_ID.fullmatch(bot_id):
        raise refuse_field("The id of a bot is 1 to 40 of a-z, 0-9, - and _, beginning with a letter or digit.", "id")
    if (session.scalar(scoped_count(ctx, Bot).where(_IS_PRESENT)) or 0) >= MAX_BOTS:
        raise Conflict(f"There are {MAX_BOTS:,} bots already: delete one first.")
    bot = session.scalar(scoped(ctx, Bot).where(Bot.bot_id == bot_id).with_for_update())
    if bot is None:
        bot = Bot(tenant_id=ctx.tenant_id, bot_id=bot_id, name=name, version=0)
    elif bot.removed_at is None:
        raise _make_taken_error(bot_id)
    bot.name, bot.is_enabled, bot.created_at, bot.removed_at = name, True, now(), None
    try:
        with session.begin_nested():
            session.add(bot)
    except IntegrityError as exc:  # another request was first
        raise _make_taken_error(bot_id) from exc
    _check_datasets(session, ctx, answers.get("dataset_ids", []))
    return _add_version(session, ctx, bot, answers)


def list_bots(session: Session, ctx: Principal, part: Part) -> Rows[Bot]:
    """A part of the tenant's bots, oldest first."""
    total = session.scalar(scoped_count(ctx, Bot).where(_IS_PRESENT)) or 0
    return read_part(session, scoped(ctx, Bot).where(_IS_PRESENT), (Bot.created_at, Bot.bot_id), part, total=total)


def list_all_bots(session: Session, ctx: Principal) -> Sequence[Bot]:
    """All bots of the tenant, of which it has at most `MAX_BOTS`, oldest first."""
    return session.scalars(scoped(ctx, Bot).where(_IS_PRESENT).order_by(Bot.created_at, Bot.bot_id)).all()


def get_bot(session: Session, ctx: Principal, bot_id: str) -> StoredBot:
    """One bot, as it is.

    Raises:
        NotFound: the tenant has none of this id.
    """
    newest = scoped(ctx, Bot).join(BotVersion).where(BotVersion.version == Bot.version)
    bot = session.execute(newest.where(Bot.bot_id == bot_id, _IS_PRESENT).add_columns(BotVersion.config)).first()
    if bot is None:
        raise _make_unsaid_error() if bot_id == DEFAULT_BOT else make_missing_error(bot_id)
    return StoredBot(*bot)


def find_bot_state(database: Database, ctx: Principal, bot_id: str) -> BotState | None:
    """Whether the bot answers now, and in which version; None where the tenant has none of this id."""
    bot_state = database.find(ctx, _STATE, bot_id=bot_id)
    return BotState(bot_state.is_enabled, bot_state.version) if bot_state else None


def get_answers(session: Session, ctx: Principal, bot_id: str, version: int) -> BotAnswers:
    """How the bot answers in that version, also where it was removed since.

    Raises:
        NotFound: the tenant has no such version of a bot.
    """
    this = scoped(ctx, BotVersion).where(BotVersion.bot_id == bot_id, BotVersion.version == version)
    answers = session.scalar(this)
    if answers is None:
        raise make_missing_error(bot_id)
    return cast(BotAnswers, answers.config)  # only this module writes it


def list_answers(session: Session, ctx: Principal, bots: Sequence[Bot]) -> dict[str, BotAnswers]:
    """How these bots answer now, by their ids."""
    newest = scoped(ctx, BotVersion).join(Bot).where(BotVersion.version == Bot.version)
    answers = session.scalars(newest.where(Bot.bot_id.in_([bot.bot_id for bot in bots])))
    return {row.bot_id: row.config for row in answers}  # type: ignore[misc] # as above


def lock_bot(session: Session, ctx: Principal, bot_id: str) -> StoredBot:
    """The bot, kept as it is by others until the commit.

    Raises:
        NotFound: the tenant has none of this id.
    """
    session.scalar(scoped(ctx, Bot).where(Bot.bot_id == bot_id).with_for_update())
    return get_bot(session, ctx, bot_id)


def change_bot(
    session: Session,
    ctx: Principal,
    bot_id: str,
    *,
    name: str | None = None,
    is_enabled: bool | None = None,
    answers: BotAnswers | None = None,
) -> StoredBot:
    """Make the bot so; what is None stays. How it answers is a new version where it differs. Flushed, not committed.

    Raises:
        NotFound: the tenant has none of this id, not all of these datasets, or not this model.
        BadInput: a tool is to wait for approval that it does not use.
    """
    stored = lock_bot(session, ctx, bot_id)
    if name is not None:
        stored.bot.name = name
    if is_enabled is not None:
        stored.bot.is_enabled = is_enabled
    if answers is None or answers == stored.answers:
        session.flush()
        return stored
    dataset_ids = answers.get("dataset_ids", [])
    if dataset_ids != stored.answers.get("dataset_ids", []):
        _check_datasets(session, ctx, dataset_ids)
    return _add_version(session, ctx, stored.bot, answers)


def remove_bot(session: Session, ctx: Principal, bot_id: str) -> None:
    """Take the bot away; the default one answers as the settings say from then on.

    Raises:
        NotFound: the tenant has none of this id.
        Conflict: keys are for this bot alone, and would open nothing.
    """
    bot = lock_bot(session, ctx, bot_id).bot
    bound = scoped(ctx, ApiKey).where(ApiKey.bot_id == bot_id, ApiKey.revoked_at.is_(None))
    keys = session.scalars(bound.with_only_columns(ApiKey.prefix).limit(3)).all()
    if keys and bot_id != DEFAULT_BOT:
        raise Conflict(f"Keys are for this bot alone ({', '.join(keys)}): revoke them first, or switch the bot off.")
    bot.removed_at = now()
    session.flush()


def make_missing_error(bot_id: str) -> NotFound:
    """That the tenant has no such bot."""
    return NotFound(f"Bot {bot_id!r} not found.")


def _make_unsaid_error() -> NotFound:
    return NotFound(
        f"Bot {DEFAULT_BOT!r} not found: it answers as the settings say. To change that, make a bot with this id: "
        f"POST /v1/tenant/bots, or flask bot create {DEFAULT_BOT}."
    )


def _make_taken_error(bot_id: str) -> Conflict:
    return Conflict(f"There is a bot {bot_id!r} already.")


def _add_version(session: Session, ctx: Principal, bot: Bot, answers: BotAnswers) -> StoredBot:
    if "model_id" in answers:
        lock_model(session, ctx, answers["model_id"])  # or it could be removed before this is committed
    if unused := [name for name in answers.get("approvals", []) if name not in answers.get("tools", [])]:
        raise refuse_field(f"The bot does not use the tool {unused[0]!r}: add it to tools, too.", "approvals")
    if wrong := [origin for origin in answers.get("allowed_origins", []) if not ORIGIN.fullmatch(origin)]:
        raise refuse_field(f"{wrong[0][:100]!r} is not like https://www.example.org, in lower case.", "allowed_origins")
    bot.version += 1
    config: dict[str, Any] = {**answers}
    session.add(BotVersion(tenant_id=ctx.tenant_id, bot_id=bot.bot_id, version=bot.version, config=config))
    session.flush()
    return StoredBot(bot, answers)


def _check_datasets(session: Session, ctx: Principal, dataset_ids: Sequence[str]) -> None:
    known_ids = scoped(ctx, Dataset).where(Dataset.dataset_id.in_(dataset_ids)).with_only_columns(Dataset.dataset_id)
    locked = known_ids.with_for_update(read=True)  # or one could be removed before this is committed
    if missing := set(dataset_ids) - set(session.scalars(locked)):
        raise NotFound(f"Dataset {min(missing)!r} not found.")
