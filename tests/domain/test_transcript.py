"""Turns in SQL, on SQLite and PostgreSQL: each once and in order, encrypted, listed at one price; of two tenants."""

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event, insert

from auth.credentials import make_key_principal
from auth.principal import Principal
from domain.db import Database
from domain.models import Conversation, Turn, now
from domain.paging import Part
from domain.scoping import scoped, scoped_update, select_everywhere
from domain.transcript import delete_conversation, list_conversations, read_turns
from domain.transcript_rekeying import rekey_conversation
from domain.transcript_retention import DAY_S, Retention, erase_expired
from domain.transcript_search import search_conversations
from domain.transcript_texts import TranscriptUnreadable, read_title
from domain.transcript_writing import FinishedTurn, make_title, write_turns
from tests.cli.stored import NEW, OLD, ROTATING
from tests.domain.lookalikes import ALIKE
from tests.domain.records import ACME, GLOBEX
from tests.security.cost import cpu_s
from tests.watch.machine_speed import slow_by
from utils.checkpointer.cipher import Keyring
from utils.moments import format_moment

MONTH = Retention(30 * DAY_S)
TENANTS = (ACME, GLOBEX)


def turn(ctx: Principal, number: int = 1, **changes: Any) -> FinishedTurn:
    """The turn of that number of a conversation, one a minute, an hour ago."""
    asked = datetime.now(UTC) - timedelta(hours=1) + timedelta(minutes=number)
    told: dict[str, Any] = {
        "tenant_id": ctx.tenant_id,
        "owner_id": ctx.owner_id,
        "conversation_id": "talk",
        "run_id": f"run-{number}",
        "subject_id": ctx.subject_id,
        "bot_id": "default",
        "bot_version": 0,
        "channel": "api",
        "status": "completed",
        "sequence": round((asked.timestamp() + 2) * 1_000_000),
        "asked_at": format_moment(asked),
        "question": f"Question {number}?",
        "answer": f"Answer {number} [1].",
        "citations": [{"document_id": "d1", "version": 2, "start": 3, "end": 9}],
    }
    return FinishedTurn(**{**told, **changes})


def written(database: Database, *turns: FinishedTurn, keys: Keyring | None = None) -> list[str]:
    with database.open_write_session() as session:
        return write_turns(session, turns, retention=MONTH, keys=keys)


def said(database: Database, ctx: Principal, keys: Keyring | None = None, conversation_id: str = "talk") -> list[str]:
    with database.open_read_session() as session:
        return [one.texts["question"] for one in read_turns(session, ctx, conversation_id, keys)]


def title(database: Database, ctx: Principal, keys: Keyring | None = None) -> str:
    with database.open_read_session() as session:
        [row] = list_conversations(session, ctx, Part(10), MONTH).rows
        return read_title(row, keys)


def test_a_turn_is_written_once_and_in_its_place_however_often_and_late_it_comes(database: Database) -> None:
    for ctx in TENANTS:
        first, second, third = (turn(ctx, number) for number in (1, 2, 3))
        assert written(database, third, second, third) == ["run-2", "run-3"]
        assert title(database, ctx) == "Question 2?"
        assert written(database, second, first) == ["run-1"]
        assert written(database, first, second, third) == []
        assert said(database, ctx) == ["Question 1?", "Question 2?", "Question 3?"]
        assert title(database, ctx) == "Question 1?"  # the first of them came last


def test_a_run_whose_key_was_used_again_another_day_has_a_turn_of_each(database: Database) -> None:
    for ctx in TENANTS:
        first = turn(ctx, 1)
        again = turn(ctx, 3, run_id="run-1", question="Again?")
        assert written(database, first) == written(database, again, first) == ["run-1"]
        assert written(database, first, again) == []
        assert said(database, ctx) == ["Question 1?", "Again?"]
        with database.open_write_session() as session:  # deleted, they can be restored, and do not come in once more
            assert delete_conversation(session, ctx, "talk", erases=False, is_known=True)
        assert written(database, first, again) == []
        assert said(database, ctx) == ["Question 1?", "Again?"]


def test_many_turns_of_many_conversations_take_few_statements(database: Database) -> None:
    turns = [
        turn(ctx, number, conversation_id=f"talk-{number % 20}", run_id=f"run-{number}")
        for ctx in TENANTS
        for number in range(40)
    ]
    statements: list[str] = []
    event.listen(database.engine, "before_cursor_execute", lambda *told: statements.append(told[2]))
    for expected in (80, 0):
        assert len(written(database, *turns)) == expected
    assert len(statements) <= 20, statements
    for ctx in TENANTS:
        assert said(database, ctx, conversation_id="talk-3") == ["Question 3?", "Question 23?"]
        with database.open_read_session() as session:
            rows = list_conversations(session, ctx, Part(50), MONTH).rows
        assert [(row.turn_count, row.message_count) for row in rows] == [(2, 4)] * 20


def test_ids_that_look_alike_are_other_conversations(database: Database) -> None:
    turns = [
        turn(ctx, number, conversation_id=name[:128], question=name)
        for ctx in TENANTS
        for number, name in enumerate(dict.fromkeys(one[:128] for one in ALIKE))
    ]
    written(database, *turns)
    for ctx in TENANTS:
        own = [one for one in turns if one.tenant_id == ctx.tenant_id]
        for one in own:
            assert said(database, ctx, conversation_id=one.conversation_id) == [one.question]
        with database.open_read_session() as session:
            assert list_conversations(session, ctx, Part(100), MONTH).total == len(own)


@pytest.mark.parametrize("keys", [None, OLD])
def test_hostile_texts_are_kept_or_their_unstorable_part_is_replaced(database: Database, keys: str | None) -> None:
    ring = Keyring.parse(keys) if keys else None
    for ctx in TENANTS:
        hostile = turn(ctx, answer="a\0b \ud800 \u202e'; DROP TABLE messages;--", question="x" * 5000 + "\u202e")
        assert written(database, hostile, keys=ring) == ["run-1"]
        with database.open_read_session() as session:
            [kept] = read_turns(session, ctx, "talk", ring)
        assert kept.texts["question"] == hostile.question
        assert kept.texts["answer"].endswith("\u202e'; DROP TABLE messages;--")
        assert len(title(database, ctx, ring)) <= 81


def test_encrypted_texts_are_readable_by_their_keys_alone_and_change_them(database: Database) -> None:
    old, new, both = (Keyring.parse(keys) for keys in (OLD, NEW, ROTATING))
    for ctx in TENANTS:
        written(database, turn(ctx, 1), keys=old)
        written(database, turn(ctx, 2), keys=None)  # of before there were keys
    with database.open_read_session() as session:
        stored = [
            (row.question, row.answer, row.citations) for row in session.scalars(select_everywhere(Turn)) if row.sealed
        ]
    assert stored == [("", None, [])] * 2
    for ctx in TENANTS:
        assert said(database, ctx, old) == ["Question 1?", "Question 2?"]
        with pytest.raises(TranscriptUnreadable, match="'old', which is not configured"):
            said(database, ctx, new)
        for expected in ("done", "current"):
            with database.open_write_session() as session:
                assert rekey_conversation(session, ctx=ctx, conversation_id="talk", old=both, new=new) == expected
        assert (said(database, ctx, new), title(database, ctx, new)) == (["Question 1?", "Question 2?"], "Question 1?")
    with database.open_write_session() as session:  # moved to another turn, it is refused
        sealed = session.scalar(scoped(ACME, Turn).where(Turn.run_id == "run-1").with_only_columns(Turn.sealed))
        session.execute(scoped_update(GLOBEX, Turn).values(sealed=sealed))
    with pytest.raises(TranscriptUnreadable):
        said(database, GLOBEX, new)
    with database.open_write_session() as session:
        assert rekey_conversation(session, ctx=ACME, conversation_id="talk", old=new, new=None) == "done"
    assert said(database, ACME) == ["Question 1?", "Question 2?"]


def test_what_ended_before_a_deletion_does_not_come_back_and_what_begins_after_it_does(database: Database) -> None:
    for ctx in TENANTS:
        written(database, turn(ctx, 1))
        with database.open_write_session() as session:
            assert delete_conversation(session, ctx, "talk", erases=True, is_known=True)
        assert written(database, turn(ctx, 1), turn(ctx, 2)) == []
        assert said(database, ctx) == []
        later = replace(turn(ctx, 3), sequence=round(time.time() * 1_000_000) + 1_000_000)
        assert written(database, later) == ["run-3"]
        assert said(database, ctx) == ["Question 3?"]
        with database.open_write_session() as session:  # of one that is known elsewhere alone
            assert not delete_conversation(session, ctx, "elsewhere", erases=True, is_known=True)
        assert written(database, turn(ctx, 4, conversation_id="elsewhere")) == []


def test_expired_conversations_go_and_those_of_other_subjects_stay(database: Database) -> None:
    own = make_key_principal("acme", "k3y1d000")
    for ctx in (*TENANTS, own):
        written(database, turn(ctx, 1, run_id=f"run-{ctx.tenant_id}-{ctx.owner_id}"))
    with database.open_write_session() as session:
        used = scoped_update(own, Conversation).where(Conversation.owner_id == own.owner_id)
        session.execute(used.values(used_at=now() - timedelta(days=31)))
    assert written(database, replace(turn(own, 2), sequence=1)) == []  # too old to be kept
    assert erase_expired(database, MONTH) == 1
    assert (said(database, own), said(database, ACME), said(database, GLOBEX)) == ([], ["Question 1?"], ["Question 1?"])
    assert erase_expired(database, Retention(0)) == 2
    assert (said(database, ACME), said(database, GLOBEX)) == ([], [])


@pytest.mark.long
@pytest.mark.alone
def test_a_page_of_a_list_costs_the_same_whatever_else_there_is(database: Database) -> None:
    for ctx in TENANTS:
        written(database, turn(ctx, 1))
    at, columns = now(), {column.key for column in Conversation.__table__.columns}
    with database.open_write_session() as session:
        row = session.scalars(scoped(ACME, Conversation)).one()
        like = {name: getattr(row, name) for name in columns}
        many = [
            {**like, "conversation_id": f"c{number}", "updated_at": at - timedelta(seconds=number)}
            for number in range(20_000)
        ]
        for start in range(0, len(many), 500):
            session.execute(insert(Conversation), many[start : start + 500])
    least = {ctx.tenant_id: min(_time_page(database, ctx) for _ in range(25)) for ctx in TENANTS}
    assert least["acme"] < 5 * least["globex"] + 0.01 * slow_by(), least


def _time_page(database: Database, ctx: Principal) -> float:
    began_s = time.perf_counter()
    with database.open_read_session() as session:
        part = list_conversations(session, ctx, Part(20), MONTH)
        if part.next_after:
            part = list_conversations(session, ctx, Part(20, after=part.next_after), MONTH)
    assert part.total in (1, 10_000)
    return time.perf_counter() - began_s


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("  How much\n is  it? ", "How much is it?"),
        ("How do I apply for a room? I am a first-year student from another island " * 2, "How do I apply for a room?"),
        ("word " * 40, "word " * 15 + "word…"),
        ("ا" * 100, "ا" * 80 + "…"),
    ],
)
def test_a_title_is_the_first_question_shortened_sensibly(question: str, expected: str) -> None:
    assert make_title(question) == expected


def test_conversations_are_searched_whatever_their_texts_are_made_of(database: Database) -> None:
    """Accents without an end take the square of their number to normalise, and U+FDFA becomes 18 letters."""
    talks = {
        "accents": [turn(ACME, answer="early a" + "\u0315\u0300" * 500_000)],
        "ligatures": [turn(ACME, answer="early ﬁne " + "\ufdfa" * 350_000 + " late")],
        "many": [turn(ACME, at, answer=f"early number{at}. " + "É" * 200) for at in range(500)],
    }
    turns = [
        replace(one, conversation_id=talk, run_id=f"{talk}-{at}")
        for talk in talks
        for at, one in enumerate(talks[talk])
    ]
    written(database, *turns, turn(GLOBEX, answer="early"))

    def find(ctx: Principal, query: str) -> list[str]:
        with database.open_read_session() as session:
            found = search_conversations(session, ctx, query, Part(10), retention=MONTH, keys=None)
            return sorted(row.conversation_id for row in found.rows)

    assert cpu_s(lambda: find(ACME, "nowhere")) < 30
    assert find(ACME, "EARLY") == ["accents", "ligatures", "many"]
    assert find(ACME, "number7. number499.") == ["many"]
    assert find(ACME, "fine صلى") == ["ligatures"]
    assert find(ACME, "late") == [], "it stands behind what is read of a text"
    assert find(GLOBEX, "early") == ["talk"]
