"""Links that show a conversation to whoever has them: made, listed, revoked, and opened.

A link shows the turns up to the one that was the last when it was made: nothing that is said later. They are read from
the transcript each time, so that nothing of a conversation that is deleted or expired is left in a link.
"""

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil

from sqlalchemy import Select, func
from sqlalchemy.orm import Session

from auth.credentials import make_share_reader
from auth.principal import Principal
from domain.branches import TurnPosition
from domain.models import ConversationShare, now
from domain.paging import Part, Rows, read_part
from domain.scoping import scoped, scoped_delete, select_everywhere
from domain.transcript import (
    StoredTurn,
    find_conversation,
    get_conversation,
    list_places,
    lock_conversation,
    make_missing_error,
    read_path,
    read_turn,
)
from domain.transcript_retention import Retention
from domain.transcript_search import show_title
from domain.transcript_writing import make_title
from utils.checkpointer.cipher import Keyring
from utils.errors import Conflict, NotFound

MAX_SHARES = 20  # of a conversation, at once
TURNS_A_PAGE = 50
_TOKEN_BYTES = 32


@dataclass(frozen=True, slots=True)
class SharedConversation:
    """A part of a conversation as a link shows it: *page* of *pages*, counted from 1."""

    tenant_id: str
    title: str
    created_at: datetime
    expires_at: datetime
    page: int
    pages: int
    turns: Sequence[StoredTurn]


def create_share(
    session: Session, ctx: Principal, conversation_id: str, *, keep_s: float, retention: Retention, branch: str = ""
) -> tuple[ConversationShare, str]:
    """A link to the caller's conversation as it is now, for *keep_s* seconds; flushed, not committed.

    It shows the branch that the run *branch* is on, or the one used last. With its token, which is not shown again.

    Raises:
        NotFound: there is no such conversation or branch, or no turn of it is in the transcript.
        Conflict: it has as many links as it may.
    """
    row = lock_conversation(session, ctx, conversation_id)  # of many at once each sees the others
    branches = list_places(session, ctx, conversation_id)
    if row is None or not branches.turns or find_conversation(session, ctx, conversation_id, retention) is None:
        raise make_missing_error()
    if _count(session, ctx, conversation_id) >= MAX_SHARES:
        raise Conflict(f"There are {MAX_SHARES} links to this conversation already: revoke one first.")
    place, last = branches.turns[branches.find_end(branches.find(branch) if branch else None)]
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    share = ConversationShare(
        tenant_id=ctx.tenant_id,
        owner_id=ctx.owner_id,
        conversation_id=conversation_id,
        token_hash=_compute_digest(token),
        through_sequence=last,
        run_id=place.run_id,
        expires_at=now() + timedelta(seconds=keep_s),
    )
    session.add(share)
    session.flush()
    return share, token


def list_shares(
    session: Session, ctx: Principal, conversation_id: str, part: Part, retention: Retention
) -> Rows[ConversationShare]:
    """A part of the links to the caller's conversation that open it, oldest first.

    Raises:
        NotFound: there is no such conversation.
    """
    get_conversation(session, ctx, conversation_id, retention)
    total = _count(session, ctx, conversation_id)
    keys = ConversationShare.created_at, ConversationShare.share_id
    return read_part(session, _select_valid(ctx, conversation_id), keys, part, total=total)


def get_share(
    session: Session, ctx: Principal, conversation_id: str, share_id: str, retention: Retention
) -> ConversationShare:
    """A link to the caller's conversation.

    Raises:
        NotFound: there is none of this id that opens it, or no such conversation.
    """
    get_conversation(session, ctx, conversation_id, retention)
    share = session.scalar(_select_valid(ctx, conversation_id).where(ConversationShare.share_id == share_id))
    if share is None:
        raise NotFound("This conversation has no such link; it may have expired, or be revoked.")
    return share


def revoke_share(session: Session, ctx: Principal, conversation_id: str, share_id: str, retention: Retention) -> None:
    """Let the link open nothing any more; flushed, not committed.

    Raises:
        NotFound: as of `get_share`.
    """
    session.delete(get_share(session, ctx, conversation_id, share_id, retention))
    session.flush()


def revoke_all_shares(session: Session, ctx: Principal) -> None:
    """Let no link to any conversation of the tenant open anything any more, whoever made it."""
    session.execute(scoped_delete(ctx, ConversationShare))


def open_share(
    session: Session, token: str, page: int, *, retention: Retention, keys: Keyring | None
) -> SharedConversation | None:
    """What the link with *token* shows, whose tenant it tells; None where it opens nothing.

    Raises:
        NotFound: it has no such page.
        TranscriptUnreadable: a turn cannot be read.
    """
    this = ConversationShare.token_hash == _compute_digest(token)
    share = session.scalar(select_everywhere(ConversationShare).where(this, ConversationShare.expires_at > now()))
    if share is None:
        return None
    reader = make_share_reader(share.tenant_id, share.owner_id)
    row = find_conversation(session, reader, share.conversation_id, retention)
    if row is None:
        return None
    path = _find_path(session, reader, share)
    pages = max(1, ceil(len(path) / TURNS_A_PAGE))
    if page > pages:
        raise NotFound(f"This conversation has no page {page}: the last one is {pages}.")
    part = path[(page - 1) * TURNS_A_PAGE : page * TURNS_A_PAGE]
    turns = [read_turn(one, keys) for one in read_path(session, reader, share.conversation_id, part)]
    title = show_title(row, keys)
    if path and not row.is_title_given:  # it may be made of a question of another branch
        first, *_ = read_path(session, reader, share.conversation_id, path[:1])
        title = make_title(read_turn(first, keys).texts["question"])
    return SharedConversation(share.tenant_id, title, share.created_at, share.expires_at, page, pages, turns)


def _find_path(session: Session, reader: Principal, share: ConversationShare) -> list[tuple[TurnPosition, int]]:
    """Where the turns that the link shows stand; one from before there were branches shows all until then."""
    branches = list_places(session, reader, share.conversation_id, share.through_sequence)
    if share.run_id is None:
        return list(branches.turns)
    return [branches.turns[at] for at in branches.list_path(branches.find(share.run_id))]


def _select_valid(ctx: Principal, conversation_id: str) -> Select[ConversationShare]:
    return scoped(ctx, ConversationShare).where(
        ConversationShare.owner_id == ctx.owner_id,
        ConversationShare.conversation_id == conversation_id,
        ConversationShare.expires_at > now(),
    )


def _count(session: Session, ctx: Principal, conversation_id: str) -> int:
    counted = _select_valid(ctx, conversation_id).with_only_columns(func.count(ConversationShare.share_id))
    return session.scalar(counted) or 0


def _compute_digest(token: str) -> str:
    """A plain hash: nobody guesses 256 random bits back."""
    return hashlib.sha256(token.encode()).hexdigest()
