"""Conversations found by words: in titles, questions and answers, as they are read, encrypted or not.

There is no index of words: it would hold the texts a second time, and readable. So a search reads the newest
conversations of its owner, a bounded number, whatever else there is.
"""

import logging

from sqlalchemy.orm import Session

from auth.principal import Principal
from domain.models import Conversation
from domain.paging import Part, Rows
from domain.transcript import iterate_texts_of, list_conversations
from domain.transcript_retention import Retention
from domain.transcript_texts import TranscriptUnreadable, read_title
from utils.checkpointer.cipher import Keyring
from utils.normal_forms import normalize

logger = logging.getLogger(__name__)

MAX_SEARCHED = 500  # conversations
MAX_READ = 5_000_000  # characters in a search, which take seconds of a thread where they are the worst there are
LONGEST_READ = 80_000  # characters of a text: more than an answer has
_FOLDED_AT_ONCE = 8_000  # characters: folding holds the interpreter's lock, and U+FDFA becomes 18 letters
_AT_ONCE = 50


def search_conversations(
    session: Session, ctx: Principal, query: str, part: Part, *, retention: Retention, keys: Keyring | None
) -> Rows[Conversation]:
    """A part of the caller's newest 500 conversations that hold every word of *query*, the last used first.

    Case, width and ligatures of letters do not matter. What cannot be read is not found, nor what comes after the first
    5 million characters. Blocking: to be called in a thread.
    """
    words = frozenset(_fold(query).split())
    newest = list_conversations(session, ctx, Part(MAX_SEARCHED), retention).rows
    conversations, budget = [], MAX_READ
    for start in range(0, len(newest), _AT_ONCE):
        batch = newest[start : start + _AT_ONCE]
        missing, budget = _find_missing(session, ctx, batch, words, keys=keys, most=budget)
        conversations += [row for row in batch if not missing[row.conversation_id]]
    rows = conversations[part.offset : part.offset + part.limit]
    is_more = len(conversations) > part.offset + part.limit
    return Rows(rows, len(conversations), (rows[-1].updated_at, rows[-1].conversation_id) if is_more else None)


def _find_missing(
    session: Session,
    ctx: Principal,
    rows: list[Conversation],
    words: frozenset[str],
    *,
    keys: Keyring | None,
    most: int,
) -> tuple[dict[str, frozenset[str]], int]:
    """The *words* that each does not say in its first *most* characters, and how many of these are left."""
    missing = {row.conversation_id: _select_missing(words, show_title(row, keys)) for row in rows}
    for conversation_id, text in iterate_texts_of(session, ctx, list(missing), keys):
        if most <= 0:
            break
        if missing[conversation_id]:
            read = text[: min(LONGEST_READ, most)]
            most -= len(read)
            missing[conversation_id] = _select_missing(missing[conversation_id], read)
    return missing, most


def _select_missing(words: frozenset[str], text: str) -> frozenset[str]:
    """The *words* that *text* does not have."""
    folded = _fold(text)
    return frozenset(word for word in words if word not in folded)


def show_title(row: Conversation, keys: Keyring | None) -> str:
    """Its title; empty where that cannot be read, which the log says."""
    try:
        return read_title(row, keys)
    except TranscriptUnreadable as exc:
        logger.error("A title cannot be read: %s", exc.reason)
        return ""


def _fold(text: str) -> str:
    pieces = (text[start : start + _FOLDED_AT_ONCE] for start in range(0, len(text), _FOLDED_AT_ONCE))
    return "".join(normalize("NFKC", piece).casefold() for piece in pieces)
