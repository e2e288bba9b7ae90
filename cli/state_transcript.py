"""The transcript in SQL, where `flask state` deals with conversations: erased and encrypted along with them."""

import sys
from collections.abc import Iterable, Sequence
from contextlib import closing
from functools import partial

import click
from sqlalchemy.orm import Session

from auth.operators import make_operator_for
from auth.principal import Principal
from bootstrap.savers import Rekeying
from cli.state_encryption import Outcomes
from cli.state_records import can_have_records, parse_owner, select_tenants
from config import Settings
from domain.db_opening import open_database
from domain.transcript import delete_conversation
from domain.transcript_rekeying import list_conversation_keys, rekey_conversation
from domain.transcript_retention import empty_write_log
from domain.transcript_texts import TranscriptUnreadable


def erase_transcript_of(settings: Settings, thread_ids: Sequence[str]) -> None:
    """Leave nothing of these conversations in SQL."""
    if not can_have_records(settings):
        return
    with closing(open_database(settings.database_address)) as database:
        database.migrate()
        with database.open_write_session() as session:
            for ctx, conversation_id in map(parse_owner, thread_ids):
                delete_conversation(session, ctx, conversation_id, erases=True, is_known=True)
        empty_write_log(database)


def reencrypt_transcript(
    settings: Settings, outcomes: Outcomes, *, keys: Rekeying, tenant: str | None, thread_ids: Sequence[str] | None
) -> None:
    """Bring what SQL keeps of these conversations under the key of *keys*, each at once; what becomes of it is added to
    *outcomes*. Without *thread_ids* of all there are, of the tenant if one is given.

    Raises:
        StoreUnavailable: the database does not answer; what was done is done, and can be gone on with.
    """
    if not can_have_records(settings):
        return
    label = "Encrypting the transcript" if keys.target else "Decrypting the transcript"
    with closing(open_database(settings.database_address)) as database:
        database.migrate()
        with database.open_read_session() as session:
            chosen = _list_stored(session, tenant) if thread_ids is None else [*map(parse_owner, thread_ids)]
        with click.progressbar(chosen, label=label, show_pos=True, file=sys.stderr) as bar:
            for ctx, conversation_id in bar:
                rekey = partial(rekey_conversation, ctx=ctx, conversation_id=conversation_id)
                try:
                    with database.open_write_session() as session:
                        outcomes.transcript[rekey(session, old=keys.old, new=keys.new)] += 1
                except TranscriptUnreadable as error:
                    outcomes.unreadable[error.reason].append(error.key)
        empty_write_log(database)


def _list_stored(session: Session, tenant: str | None) -> Iterable[tuple[Principal, str]]:
    tenants = select_tenants(session, tenant)
    return [
        (make_operator_for(ctx.tenant_id, owner_id), conversation_id)
        for ctx in tenants
        for owner_id, conversation_id in list_conversation_keys(session, ctx)
    ]
