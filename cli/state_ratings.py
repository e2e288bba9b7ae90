"""Ratings in SQL, where `flask state` deals with conversations: deleted and encrypted along with them."""

import sys
from collections.abc import Sequence
from contextlib import closing

import click
from sqlalchemy.orm import Session

from auth.principal import Principal
from bootstrap.savers import Rekeying
from cli.state_encryption import Outcomes
from cli.state_records import can_have_records, parse_owner, select_tenants
from config import Settings
from domain.db_opening import open_database
from domain.rating_texts import RatingUnreadable
from domain.ratings import delete_ratings, list_rated_runs, rekey

Rated = tuple[Principal, str]  # whose rating, and of which run's answer


def delete_ratings_of(settings: Settings, thread_ids: Sequence[str]) -> None:
    """Delete the ratings of the answers of these conversations."""
    if not can_have_records(settings):
        return
    with closing(open_database(settings.database_address)) as database, database.open_write_session() as session:
        for thread_id in thread_ids:
            delete_ratings(session, *parse_owner(thread_id))


def reencrypt_ratings(
    settings: Settings, outcomes: Outcomes, *, keys: Rekeying, tenant: str | None, thread_ids: Sequence[str] | None
) -> None:
    """Bring the ratings of these conversations under the key of *keys*, each at once; what becomes of them is added to
    *outcomes*. Without *thread_ids* all there are, of the tenant if one is given: they outlive their conversations.

    Raises:
        StoreUnavailable: the database does not answer; what was done is done, and can be gone on with.
    """
    if not can_have_records(settings):
        return
    label = "Encrypting ratings" if keys.target else "Decrypting ratings"
    with closing(open_database(settings.database_address)) as database:
        database.migrate()
        with database.open_read_session() as session:
            rated = _list_rated(session, tenant, thread_ids)
        with click.progressbar(rated, label=label, show_pos=True, file=sys.stderr) as bar:
            for ctx, run_id in bar:
                try:
                    with database.open_write_session() as session:
                        outcomes.ratings[rekey(session, ctx, run_id, old=keys.old, new=keys.new)] += 1
                except RatingUnreadable as error:
                    outcomes.unreadable[error.reason].append(error.key)


def _list_rated(session: Session, tenant: str | None, thread_ids: Sequence[str] | None) -> list[Rated]:
    if thread_ids is None:
        tenants = select_tenants(session, tenant)
        return [(ctx, run_id) for ctx in tenants for run_id in list_rated_runs(session, ctx)]
    conversations = map(parse_owner, thread_ids)
    return [(ctx, run_id) for ctx, one in conversations for run_id in list_rated_runs(session, ctx, one)]
