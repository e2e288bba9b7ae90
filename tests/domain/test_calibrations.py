"""Of all processes one estimates what is not in a tenant's documents, and the others see what it found."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest
from sqlalchemy import func

from auth.principal import Principal
from domain.calibrations import MeasuredBy, claim, keep, list_made_since
from domain.db import Database
from domain.indexes import drop_index, forget_index, switch_to
from domain.models import CalibrationRow, now
from domain.scoping import select_everywhere, update_everywhere
from tests.domain.records import ACME, GLOBEX
from tests.retrieval.handbook import note_index

FOUND = {"same": {"en": 0.8}, "foreign": {}, "step": 0.04}


@pytest.fixture
def by(database: Database) -> MeasuredBy:
    return MeasuredBy(note_index(database, "one"), "one")


def taken(database: Database, ctx: Principal, by: MeasuredBy, known: datetime | None = None) -> bool:
    with database.open_write_session() as session:
        return claim(session, ctx, by, after=known, hold_s=60)


def kept(database: Database, ctx: Principal, by: MeasuredBy, passages: int = 24) -> datetime:
    with database.open_write_session() as session:
        return keep(session, ctx, by, calibration=FOUND, passages=passages)


def seen(database: Database, by: MeasuredBy, since: datetime | None = None) -> dict[str, int]:
    """How many passages each estimate is of."""
    with database.open_read_session() as session:
        return {row.tenant_id: row.passages for row in list_made_since(session, by, since)}


def test_of_all_that_ask_at_once_one_is_to_estimate_for_each_tenant(database: Database, by: MeasuredBy) -> None:
    tenants = [ACME, GLOBEX] * 4
    with ThreadPoolExecutor(8) as pool:
        first = list(pool.map(lambda ctx: taken(database, ctx, by), tenants))
        with database.open_write_session() as session:  # rows that are there, with leases that have run out
            session.execute(update_everywhere(CalibrationRow).values(lease_until=now() - timedelta(hours=1)))
        again = list(pool.map(lambda ctx: taken(database, ctx, by), tenants))
    for claims in (first, again):
        assert (sum(claims[::2]), sum(claims[1::2])) == (1, 1)


def test_nobody_estimates_again_what_another_has_found_meanwhile(database: Database, by: MeasuredBy) -> None:
    assert taken(database, ACME, by)
    first = kept(database, ACME, by)
    assert not taken(database, ACME, by)
    assert taken(database, GLOBEX, by)
    assert taken(database, ACME, by, first)
    second = kept(database, ACME, by)
    assert not taken(database, ACME, by, first)
    assert taken(database, ACME, by, second)


def test_what_was_found_since_is_seen_with_what_was_committed_late(database: Database, by: MeasuredBy) -> None:
    for ctx in (ACME, GLOBEX):
        assert taken(database, ctx, by)
    assert seen(database, by) == {}
    kept(database, ACME, by, 24)
    newest = kept(database, GLOBEX, by, 16)
    assert seen(database, by) == {"acme": 24, "globex": 16}
    assert seen(database, by, newest) == {"acme": 24, "globex": 16}
    assert seen(database, by, newest + timedelta(minutes=2)) == {}


def test_each_index_and_each_model_has_its_own(database: Database, by: MeasuredBy) -> None:
    others = MeasuredBy(note_index(database, "one"), "one"), MeasuredBy(by.index_number, "two")
    for ctx in (ACME, GLOBEX):
        assert taken(database, ctx, by)
        kept(database, ctx, by)
    for other in others:
        assert seen(database, other) == {}
        assert taken(database, ACME, other)
        kept(database, ACME, other, 8)
        assert seen(database, other) == {"acme": 8}
    assert seen(database, by) == {"acme": 24, "globex": 24}


def test_they_go_with_their_index_and_do_not_come_back_with_its_number(database: Database, by: MeasuredBy) -> None:
    former = MeasuredBy(note_index(database, "two"), "two")
    gone = MeasuredBy(note_index(database, "four"), "four")
    for measured in (former, gone):
        for ctx in (ACME, GLOBEX):
            assert taken(database, ctx, measured)
            kept(database, ctx, measured)
    with database.open_write_session() as session:
        switch_to(session, former.index_number)
        drop_index(session, gone.index_number)
        forget_index(session, gone.index_number)
    kept(database, ACME, gone)  # by a process that was still at it
    assert not taken(database, GLOBEX, gone)
    assert note_index(database, "five") == gone.index_number
    assert seen(database, MeasuredBy(gone.index_number, "five")) == seen(database, gone) == {}
    assert seen(database, former) == {"acme": 24, "globex": 24}
    with database.open_read_session() as session:
        assert (
            session.scalar(select_everywhere(CalibrationRow).with_only_columns(func.count(CalibrationRow.tenant_id)))
            == 2
        )
