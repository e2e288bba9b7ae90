"""How long the transcript is kept, and what erases it: expired conversations, and those that were deleted."""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, select, tuple_
from sqlalchemy.orm import Session

from auth.principal import Principal
from domain.db import Database
from domain.engines import BUSY_TIMEOUT_MS
from domain.keys import get_tenant
from domain.models import Conversation, ConversationShare, Tenant, Turn, now
from domain.scoping import count_everywhere, delete_everywhere, list_tenants, list_tenants_with, scoped, scoped_delete
from utils.errors import BadInput

DAY_S = 86_400.0
LONGEST_DAYS = 36_500.0
_LOG_PATIENCE_MS = 500
_AT_ONCE = 200  # conversations of one transaction


@dataclass(frozen=True, slots=True)
class Retention:
    """For how many seconds after its last use a conversation is kept; a tenant may have days of its own.

    0: nothing is written, and what is there goes.
    """

    default_s: float

    def find_keep_s(self, tenant: Tenant | None) -> float:
        """Seconds for *tenant*; 0 where there is no such tenant any more."""
        if tenant is None:
            return 0
        days = tenant.transcript_retention_days
        return self.default_s if days is None else days * DAY_S


def set_retention_days(session: Session, ctx: Principal, days: float | None) -> None:
    """Let the tenant's conversations be kept for so many days; None: as the setting says.

    Raises:
        BadInput: *days* is no number from 0 to 36,500.
    """
    if days is not None and not 0 <= days <= LONGEST_DAYS:
        raise BadInput(f"Days are a number from 0 to {LONGEST_DAYS:,.0f}.")
    get_tenant(session, ctx.tenant_id).transcript_retention_days = days


def list_own_retention_s(session: Session) -> dict[str, float]:
    """The seconds of the tenants that have said them."""
    rows = session.execute(select(Tenant.tenant_id, Tenant.transcript_retention_days))
    return {tenant_id: days * DAY_S for tenant_id, days in rows if days is not None}


def count_used_conversations(session: Session, *, within_s: float) -> int:
    """How many conversations of all tenants were used in the last seconds."""
    since = now() - timedelta(seconds=within_s)
    return count_everywhere(session, Conversation, (Conversation.used_at > since) & Conversation.deleted_at.is_(None))


def erase_expired(database: Database, retention: Retention) -> int:
    """Erase the conversations of all tenants that are kept no longer, in batches; how many there were. Blocking.

    Links to conversations that have expired go, too.
    """
    with database.open_write_session() as session:
        session.execute(delete_everywhere(ConversationShare).where(ConversationShare.expires_at <= now()))
    with database.open_read_session() as session:
        tenants = [(ctx, retention.find_keep_s(session.get(Tenant, ctx.tenant_id))) for ctx in list_tenants(session)]
    return sum(_erase_expired_of(database, ctx, keep_s) for ctx, keep_s in tenants)


def _erase_expired_of(database: Database, ctx: Principal, keep_s: float) -> int:
    expired, erased = Conversation.used_at <= now() - timedelta(seconds=keep_s), 0
    while True:
        with database.open_write_session() as session:
            keys = _list_keys(session, ctx, expired)
            _delete_rows(session, ctx, keys)
        erased += len(keys)
        if len(keys) < _AT_ONCE:
            return erased


def erase_deleted(database: Database, *, before: datetime) -> int:
    """Erase the texts of all conversations that were deleted before that moment; how many there were. Blocking."""
    erasable = (
        Conversation.deleted_at.is_not(None) & (Conversation.turn_count > 0) & (Conversation.deleted_at <= before)
    )
    with database.open_read_session() as session:
        tenants = list_tenants_with(session, Conversation, erasable)
    return sum(_erase_deleted_of(database, ctx, erasable) for ctx in tenants)


def _erase_deleted_of(database: Database, ctx: Principal, erasable: ColumnElement[bool]) -> int:
    erased = 0
    while True:
        with database.open_write_session() as session:
            batch = scoped(ctx, Conversation).where(erasable).limit(_AT_ONCE).with_for_update(skip_locked=True)
            found = list(session.scalars(batch))
            for row in found:
                erase(session, ctx, row)
        erased += len(found)
        if len(found) < _AT_ONCE:
            return erased


def erase(session: Session, ctx: Principal, row: Conversation) -> None:
    """Leave nothing of a deleted conversation but the note that it was; flushed, not committed."""
    here = Turn.owner_id == row.owner_id, Turn.conversation_id == row.conversation_id
    session.execute(scoped_delete(ctx, Turn).where(*here))
    row.title, row.sealed_title, row.turn_count, row.message_count = "", None, 0, 0
    session.flush()


def empty_write_log(database: Database) -> bool:
    """Let SQLite's log of changes go, which holds what was erased until it is written over; False while it is in use.

    Blocking, for half a second at most.
    """
    if database.is_server:
        return True
    with database.watch_errors(), database.engine.connect() as connection:
        driver: sqlite3.Connection = connection.connection.driver_connection  # type: ignore[assignment] # of SQLite
        driver.execute(f"PRAGMA busy_timeout = {_LOG_PATIENCE_MS}")
        try:
            return not driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        finally:
            driver.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")


def _list_keys(session: Session, ctx: Principal, condition: ColumnElement[bool]) -> list[tuple[str, str]]:
    columns = scoped(ctx, Conversation).with_only_columns(Conversation.owner_id, Conversation.conversation_id)
    batch = columns.where(condition).limit(_AT_ONCE).with_for_update(skip_locked=True)
    return [(owner, one) for owner, one in session.execute(batch)]


def _delete_rows(session: Session, ctx: Principal, keys: Sequence[tuple[str, str]]) -> None:
    """Their turns go with them."""
    if keys:
        named = tuple_(Conversation.owner_id, Conversation.conversation_id).in_(keys)
        session.execute(scoped_delete(ctx, Conversation).where(named))
