"""Conversations found by words: in titles, questions and answers, as they are read, encrypted or not.

There is no index of words: it would hold the texts a second time, and readable. So a search reads the newest
conversations of its owner, a bounded number, whatever else there is.
"""

import logging
import unicodedata

from sqlalchemy.orm import Session

from auth.principal import Principal
from domain.models import Conversation
from domain.paging import Part, Rows
from domain.transcript import list_conversations, read_texts_of
from domain.transcript_retention import Retention
from domain.transcript_texts import TranscriptUnreadable, read_title
from utils.checkpointer.cipher import Keyring

logger = logging.getLogger(__name__)

MOST_SEARCHED = 500  # conversations
_AT_ONCE = 50


def search_conversations(
    session: Session, ctx: Principal, query: str, part: Part, *, retention: Retention, keys: Keyring | None
) -> Rows[Conversation]:
    """A part of the caller's newest 500 conversations that hold every word of *query*, the last used first.

    Case, width and ligatures of letters do not matter. What cannot be read is not found.
    """
    words = _fold(query).split()
    newest = list_conversations(session, ctx, Part(MOST_SEARCHED), retention).rows
    found = []
    for start in range(0, len(newest), _AT_ONCE):
        batch = newest[start : start + _AT_ONCE]
        said = _read_said(session, ctx, batch, keys)
        found += [row for row in batch if all(word in said[row.conversation_id] for word in words)]
    rows = found[part.offset : part.offset + part.limit]
    is_more = len(found) > part.offset + part.limit
    return Rows(rows, len(found), (rows[-1].updated_at, rows[-1].conversation_id) if is_more else None)


def _read_said(session: Session, ctx: Principal, rows: list[Conversation], keys: Keyring | None) -> dict[str, str]:
    """All that was said in each, folded."""
    ids = [row.conversation_id for row in rows]
    texts = read_texts_of(session, ctx, ids, keys)
    return {row.conversation_id: _fold("\n".join([show_title(row, keys), *texts[row.conversation_id]])) for row in rows}


def show_title(row: Conversation, keys: Keyring | None) -> str:
    """Its title; empty where that cannot be read, which the log says."""
    try:
        return read_title(row, keys)
    except TranscriptUnreadable as exc:
        logger.error("A title cannot be read: %s", exc.reason)
        return ""


def _fold(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()
