"""The texts of the transcript written anew under other keys, one conversation at a time."""

from sqlalchemy.orm import Session

from auth.principal import Principal
from domain.models import Conversation
from domain.scoping import scoped
from domain.transcript import lock_conversation, select_turns
from domain.transcript_texts import (
    is_current,
    make_key,
    make_text_columns,
    make_title_columns,
    read_texts,
    read_title,
    set_columns,
)
from utils.checkpointer.cipher import Keyring
from utils.checkpointer.reencryption import Outcome


def list_conversation_keys(session: Session, ctx: Principal) -> list[tuple[str, str]]:
    """Owner and id of every conversation of the tenant, deleted ones that can be restored included."""
    columns = scoped(ctx, Conversation).with_only_columns(Conversation.owner_id, Conversation.conversation_id)
    return [(owner_id, one) for owner_id, one in session.execute(columns.where(Conversation.turn_count > 0))]


def rekey_conversation(
    session: Session, *, ctx: Principal, conversation_id: str, old: Keyring | None, new: Keyring | None
) -> Outcome:
    """Write the texts of the caller's conversation, which *old* reads, anew under *new*; without it, as they are.

    Raises:
        TranscriptUnreadable: the key of one is missing, or what is stored was changed or moved; all are as they were.
    """
    row = lock_conversation(session, ctx, conversation_id)
    if row is None:
        return "absent"
    turns = session.scalars(select_turns(ctx, conversation_id))
    stale = [turn for turn in turns if not is_current(turn.sealed, new)]
    is_title_stale = bool(row.turn_count) and not is_current(row.sealed_title, new)
    for turn in stale:
        set_columns(turn, make_text_columns(make_key(turn), turn.run_id, read_texts(turn, old), new))
    if is_title_stale:
        set_columns(row, make_title_columns(make_key(row), read_title(row, old), new))
    session.flush()
    return "done" if stale or is_title_stale else "current"
