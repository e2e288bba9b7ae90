"""Conversations that begin from an answer of another one, on SQLite and PostgreSQL, encrypted; of two tenants."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auth.principal import Principal
from domain.db import Database
from domain.models import Conversation
from domain.scoping import scoped
from domain.transcript import delete_conversation, read_turns
from domain.transcript_forks import MAX_TURNS, Fork, fork_conversation, number_title
from domain.transcript_texts import read_title
from tests.cli.stored import NEW
from tests.domain.records import ACME, GLOBEX
from tests.domain.test_transcript import MONTH, turn, written
from utils.checkpointer.cipher import Keyring
from utils.errors import Conflict, NotFound


def forked(database: Database, ctx: Principal, asked: Fork, keys: Keyring | None = None) -> str:
    """Its title."""
    with database.open_write_session() as session:
        return read_title(fork_conversation(session, ctx, asked, retention=MONTH, keys=keys), keys)


def said(database: Database, ctx: Principal, conversation_id: str, keys: Keyring | None = None) -> list[str]:
    with database.open_read_session() as session:
        return [kept.texts["question"] for kept in read_turns(session, ctx, conversation_id, keys)]


@pytest.mark.parametrize("keys", [None, Keyring.parse(NEW)], ids=["plain", "encrypted"])
def test_a_fork_has_what_was_said_up_to_its_answer_whatever_becomes_of_the_other(
    database: Database, keys: Keyring | None
) -> None:
    for ctx in (ACME, GLOBEX):
        written(database, *(turn(ctx, number) for number in range(1, 6)), keys=keys)
    assert forked(database, ACME, Fork("talk", "run-3", "new"), keys) == "Question 1? (2)"
    assert said(database, ACME, "new", keys) == ["Question 1?", "Question 2?", "Question 3?"]
    assert said(database, GLOBEX, "new", keys) == []
    with database.open_write_session() as session:
        delete_conversation(session, ACME, "talk", erases=True, is_known=True)
    assert len(said(database, ACME, "new", keys)) == 3
    assert len(said(database, GLOBEX, "talk", keys)) == 5
    with pytest.raises(NotFound):
        forked(database, ACME, Fork("talk", "run-3", "another"), keys)


def test_a_fork_is_refused_where_there_is_no_answer_or_the_id_is_taken(database: Database) -> None:
    for ctx in (ACME, GLOBEX):
        written(database, turn(ctx), turn(ctx, 2, answer=None, status="failed"))
    written(database, turn(GLOBEX, 3, conversation_id="theirs"))
    for run_id in ("run-2", "run-3", "never"):
        with pytest.raises(NotFound):
            forked(database, ACME, Fork("talk", run_id, "new"))
    with pytest.raises(NotFound):
        forked(database, ACME, Fork("theirs", "run-3", "new"))
    with pytest.raises(Conflict):
        forked(database, ACME, Fork("talk", "run-1", "talk"))
    forked(database, ACME, Fork("talk", "run-1", "theirs"))
    assert said(database, GLOBEX, "theirs") == ["Question 3?"], "another tenant's conversation of that id"


def test_of_a_long_conversation_the_newest_turns_before_the_answer_are_copied(database: Database) -> None:
    written(database, *(turn(ACME, number) for number in range(MAX_TURNS + 5)))
    forked(database, ACME, Fork("talk", f"run-{MAX_TURNS + 2}", "new"))
    copied = said(database, ACME, "new")
    assert (len(copied), copied[0], copied[-1]) == (MAX_TURNS, "Question 3?", f"Question {MAX_TURNS + 2}?")
    with database.open_read_session() as session:
        row = session.scalars(scoped(ACME, Conversation).where(Conversation.conversation_id == "new")).one()
        assert (row.turn_count, row.message_count) == (MAX_TURNS, 2 * MAX_TURNS)


@pytest.mark.parametrize(
    ("title", "forked"),
    [
        ("Rooms", "Rooms (2)"),
        ("Rooms (2)", "Rooms (3)"),
        ("Rooms (99)", "Rooms (100)"),
        ("Rooms (100)", "Rooms (100) (2)"),
        ("Fees (2025)", "Fees (2025) (2)"),
        ("Part (1)", "Part (1) (2)"),
        ("Part (0)", "Part (0) (2)"),
        ("Part (٣)", "Part (٣) (2)"),
    ],
)
def test_a_fork_counts_on_and_leaves_other_numbers_of_a_title(title: str, forked: str) -> None:
    assert number_title(title) == forked


@given(st.text(max_size=200))
def test_each_fork_of_a_fork_has_a_number_more_and_a_title_that_fits(title: str) -> None:
    first = number_title(title)
    second = number_title(first)
    assert first != second
    assert max(len(first), len(second)) <= 200
