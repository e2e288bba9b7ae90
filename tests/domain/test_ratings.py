"""Ratings belong to one tenant, and the newest verdict about an answer counts."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event

from auth.credentials import make_key_principal
from auth.principal import Principal
from auth.scopes import ALL_SCOPES
from domain import ratings
from domain.db import Database
from domain.models import AnswerRating, now
from domain.paging import Part
from domain.rating_texts import RatingUnreadable, decrypt_texts
from domain.ratings import (
    Rating,
    delete_older,
    delete_rating,
    delete_ratings,
    delete_ratings_of_runs,
    find_verdicts,
    list_ratings,
    rate,
)
from domain.scoping import select_everywhere, update_everywhere
from tests.domain.records import ACME, GLOBEX
from utils.checkpointer.cipher import Keyring
from utils.errors import Conflict, NotFound


def rating(run_id: str = "r1", **parts: Any) -> Rating:
    told: dict[str, Any] = {
        "conversation_id": "c1",
        "rating": "down",
        "question": "What is a room?",
        "answer": "A place [1].",
        "answered": True,
        "stands_alone": True,
        "sources": ("rooms.md",),
    }
    return Rating(run_id=run_id, **{**told, **parts})


def noted(database: Database, ctx: Principal, said: Rating, keys: Keyring | None = None) -> None:
    with database.open_write_session() as session:
        rate(session, ctx, said, keys=keys)


def seen(database: Database, ctx: Principal, conversation_id: str = "c1") -> dict[str, str]:
    with database.open_read_session() as session:
        rated = select_everywhere(AnswerRating).with_only_columns(AnswerRating.run_id, AnswerRating.rated_at)
        return find_verdicts(session, ctx, conversation_id, {run_id: at for run_id, at in session.execute(rated)})


def test_two_tenants_rate_runs_of_the_same_id_and_see_only_their_own(database: Database) -> None:
    noted(database, ACME, rating())
    noted(database, GLOBEX, rating(rating="up", comment="Good."))
    assert (seen(database, ACME), seen(database, GLOBEX)) == ({"r1": "down"}, {"r1": "up"})
    with database.open_write_session() as session:
        delete_rating(session, GLOBEX, "c1", "r1")
    assert (seen(database, ACME), seen(database, GLOBEX)) == ({"r1": "down"}, {})
    with pytest.raises(NotFound), database.open_write_session() as session:
        delete_rating(session, GLOBEX, "c1", "r1")
    with database.open_write_session() as session:
        assert delete_ratings(session, GLOBEX, "c1") == 0
        assert delete_ratings(session, ACME, "c1") == 1
    assert seen(database, ACME) == {}


def test_ratings_of_all_tenants_are_forgotten_when_their_days_are_over(database: Database) -> None:
    for ctx in (ACME, GLOBEX):
        for run_id in ("old", "new"):
            noted(database, ctx, rating(run_id))
    with database.open_write_session() as session:
        old = update_everywhere(AnswerRating).where(AnswerRating.run_id == "old")
        session.execute(old.values(rated_at=now() - timedelta(days=8)))
    with database.open_write_session() as session:
        assert delete_older(session, 9) == 0
    with database.open_write_session() as session:
        assert delete_older(session, 7) == 2
    assert (seen(database, ACME), seen(database, GLOBEX)) == ({"new": "down"}, {"new": "down"})


def test_the_last_verdict_about_an_answer_counts(database: Database) -> None:
    noted(database, ACME, rating(comment="Wrong."))
    noted(database, ACME, rating(rating="up", expected="A room"))
    with database.open_read_session() as session:
        found = list_ratings(session, ACME)
        [row], total = found.rows, found.total
        assert (row.rating, row.comment, row.expected, row.sources, total) == ("up", "", "A room", ["rooms.md"], 1)


def test_words_that_are_left_out_stay_while_the_verdict_does(database: Database) -> None:
    noted(database, ACME, rating(comment="Wrong.", expected="A room"))
    noted(database, ACME, rating(comment="Quite wrong."))
    with database.open_read_session() as session:
        [row] = list_ratings(session, ACME).rows
        assert (row.comment, row.expected) == ("Quite wrong.", "A room")
    noted(database, ACME, rating(rating="up"))
    with database.open_read_session() as session:
        [row] = list_ratings(session, ACME).rows
        assert (row.comment, row.expected) == ("", "")


def test_many_verdicts_about_one_answer_at_once_are_one(database: Database) -> None:
    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(noted, database, ACME, rating(comment=str(number))) for number in range(16)]:
            done.result()
    with database.open_read_session() as session:
        assert list_ratings(session, ACME).total == 1


def test_they_are_listed_a_page_at_a_time_the_newest_first(database: Database) -> None:
    for number in range(5):
        noted(database, ACME, rating(f"r{number}", rating="up" if number == 2 else "down"))
    with database.open_read_session() as session:
        found = list_ratings(session, ACME, Part(2, offset=1), rating="down")
        page, total = found.rows, found.total
        assert ([row.run_id for row in page], total) == (["r3", "r1"], 4)


def test_a_tenant_has_no_more_than_it_may(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ratings, "MAX_RATINGS", 2)
    for run_id in ("r1", "r2", "r2"):
        noted(database, ACME, rating(run_id))
    with pytest.raises(Conflict, match="makes room"):
        noted(database, ACME, rating("r3"))
    noted(database, GLOBEX, rating("r3"))


def test_subjects_of_one_tenant_keep_their_ratings_apart(database: Database) -> None:
    first, second = make_key_principal("acme", "first"), make_key_principal("acme", "second")
    everybody = make_key_principal("acme", "third", scopes=ALL_SCOPES)
    for ctx, run_id in ((first, "r1"), (second, "r2"), (everybody, "r3")):
        noted(database, ctx, rating(run_id))
    noted(database, GLOBEX, rating("r4"))

    def listed(ctx: Principal) -> set[str]:
        with database.open_read_session() as session:
            found = list_ratings(session, ctx)
        assert found.total == len(found.rows)
        return {row.run_id for row in found.rows}

    assert [listed(ctx) for ctx in (first, second, everybody)] == [{"r1"}, {"r2"}, {"r1", "r2", "r3"}]
    with database.open_write_session() as session:
        assert find_verdicts(session, second, "c1", dict.fromkeys(["r1", "r2", "r3", "r4"], now())).keys() == {"r2"}
        with pytest.raises(NotFound):
            delete_rating(session, second, "c1", "r1")
        assert delete_ratings(session, second, "c1") == 1
        assert delete_ratings(session, everybody, "c1") == 1
    assert listed(everybody) == {"r1"}


KEYS = Keyring({"old": bytes(range(32))})


def test_encrypted_words_are_of_any_length_and_kind(database: Database) -> None:
    said = {"question": "What? " * 20_000, "answer": "Ça: 🛏 [1].\n" * 20_000, "comment": '"', "expected": "\\"}
    for ctx in (ACME, GLOBEX):
        noted(database, ctx, rating(**said), KEYS)
    with database.open_read_session() as session:
        [row] = list_ratings(session, ACME).rows
        read = decrypt_texts(row, KEYS)
    assert {name: getattr(read, name) for name in said} == said
    assert read.sources == ["rooms.md"]
    assert (row.question, row.answer, row.comment, row.expected) == ("", "", "", "")


def test_encrypted_words_never_reach_the_database(database: Database) -> None:
    sent: list[str] = []
    event.listen(database.engine, "before_cursor_execute", lambda *call: sent.append(repr(call[3])))
    for comment in ("Ingeborg said so.", "Ingeborg did not."):
        noted(database, ACME, rating(question="Is Ingeborg here?", answer="Ingeborg is.", comment=comment), KEYS)
    assert [values for values in sent if "r1" in values]
    assert [values for values in sent if "Ingeborg" in values] == []


def test_encrypted_words_that_are_left_out_stay_while_the_verdict_does(database: Database) -> None:
    noted(database, ACME, rating(comment="Wrong.", expected="A room"))
    for comment, keys in (("Quite wrong.", KEYS), (None, Keyring({"new": bytes(32), "old": bytes(range(32))}))):
        noted(database, ACME, rating(comment=comment), keys)
        with database.open_read_session() as session:
            row = decrypt_texts(list_ratings(session, ACME).rows[0], keys)
        assert (row.comment, row.expected) == ("Quite wrong.", "A room")


def test_without_the_key_an_answer_is_rated_anew_only_in_other_words(database: Database) -> None:
    noted(database, ACME, rating(comment="Wrong.", expected="A room"), KEYS)
    for keys in (None, Keyring({"new": bytes(32)})):
        with pytest.raises(RatingUnreadable, match="key 'old'"):
            noted(database, ACME, rating(comment="Quite wrong."), keys)
    noted(database, ACME, rating(comment="Quite wrong.", expected="A flat"))
    with database.open_read_session() as session:
        row = decrypt_texts(list_ratings(session, ACME).rows[0], None)
    assert (row.comment, row.expected) == ("Quite wrong.", "A flat")


def test_without_the_key_verdicts_are_seen_and_ratings_go(database: Database) -> None:
    for run_id in ("r1", "r2", "r3", "r4"):
        noted(database, ACME, rating(run_id, conversation_id=f"of-{run_id}"), KEYS)
    assert seen(database, ACME, "of-r1") == {"r1": "down"}
    with database.open_write_session() as session:
        delete_rating(session, ACME, "of-r1", "r1")
        assert delete_ratings(session, ACME, "of-r2") == 1
        delete_ratings_of_runs(session, ACME, ["r3"])
        assert delete_older(session, 0) == 1
