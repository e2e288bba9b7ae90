"""Links to conversations on both databases: what they show, and that they end; two tenants have the same ids."""

from datetime import timedelta

import pytest

from domain.conversation_shares import create_share, list_shares, open_share, revoke_share
from domain.db import Database
from domain.models import ConversationShare, now
from domain.paging import Part
from domain.scoping import select_everywhere, update_everywhere
from domain.transcript import delete_conversation
from domain.transcript_retention import erase_expired
from tests.domain.records import ACME, GLOBEX
from tests.domain.test_transcript import MONTH, TENANTS, turn, written
from utils.checkpointer.cipher import Keyring
from utils.errors import NotFound

OLD = Keyring({"old": bytes(32)})


def shared(database: Database) -> list[str]:
    """The tokens of a link of each tenant to its conversation of two encrypted turns; a third one came later."""
    tokens = []
    for ctx in TENANTS:
        written(database, *(turn(ctx, number, question=f"{ctx.tenant_id} {number}?") for number in (1, 2)), keys=OLD)
        with database.open_write_session() as session:
            tokens.append(create_share(session, ctx, "talk", keep_s=60, retention=MONTH)[1])
        written(database, turn(ctx, 3), keys=OLD)
    return tokens


def questions(database: Database, token: str) -> list[str] | None:
    with database.open_read_session() as session:
        found = open_share(session, token, 1, retention=MONTH, keys=OLD)
        return None if found is None else [one.texts["question"] for one in found.turns]


def test_a_link_shows_what_was_there_until_it_ends_and_never_what_is_another_tenants(database: Database) -> None:
    ours, theirs = shared(database)
    assert (questions(database, ours), questions(database, theirs)) == (
        ["acme 1?", "acme 2?"],
        ["globex 1?", "globex 2?"],
    )
    assert questions(database, ours + "x") is None
    with database.open_write_session() as session:
        [share] = list_shares(session, ACME, "talk", Part(10), MONTH).rows
        with pytest.raises(NotFound):
            revoke_share(session, GLOBEX, "talk", share.share_id, MONTH)
        with pytest.raises(NotFound):
            create_share(session, GLOBEX, "none", keep_s=60, retention=MONTH)
        revoke_share(session, ACME, "talk", share.share_id, MONTH)
    assert questions(database, ours) is None
    with database.open_write_session() as session:
        assert delete_conversation(session, GLOBEX, "talk", erases=False, is_known=True)
    assert questions(database, theirs) is None
    with database.open_read_session() as session:
        assert session.scalars(select_everywhere(ConversationShare)).all() == []


def test_links_that_have_expired_are_forgotten(database: Database) -> None:
    ours, theirs = shared(database)
    with database.open_write_session() as session:
        of_acme = update_everywhere(ConversationShare).where(ConversationShare.tenant_id == "acme")
        session.execute(of_acme.values(expires_at=now() - timedelta(seconds=1)))
    assert (questions(database, ours), questions(database, theirs)) == (None, ["globex 1?", "globex 2?"])
    erase_expired(database, MONTH)
    with database.open_read_session() as session:
        assert [one.tenant_id for one in session.scalars(select_everywhere(ConversationShare))] == ["globex"]
