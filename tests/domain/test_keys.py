"""API keys: shown once, kept as a hash, each opening its own tenant."""

import pytest
from sqlalchemy import text

from domain.db import Database
from domain.keys import create_key, ensure_tenant, find_key, has_keys
from domain.models import now
from utils.errors import BadInput


def test_a_key_opens_its_own_tenant_and_no_other(database: Database) -> None:
    with database.writing() as session:
        _, ours = create_key(session, "acme", "web")
        _, theirs = create_key(session, "globex", "web")
    with database.reading() as session:
        found = [find_key(session, presented) for presented in (ours, theirs)]
        assert [key.tenant_id if key else None for key in found] == ["acme", "globex"]


def test_nothing_but_the_whole_key_opens_anything(database: Database) -> None:
    with database.writing() as session:
        _, first = create_key(session, "acme", "web")
        _, second = create_key(session, "globex", "web")
    mixed = first[:17] + second[17:]
    last = "a" if first[-1] != "a" else "b"
    with database.reading() as session:
        for wrong in ("", "ak_live_", first[:-1], first[:-1] + last, first + "a", first.upper(), mixed, "\udcff", "ä"):
            assert find_key(session, wrong) is None


def test_a_revoked_key_opens_nothing(database: Database) -> None:
    with database.writing() as session:
        key, presented = create_key(session, "acme", "web")
        assert has_keys(session, "acme")
        assert not has_keys(session, "globex")
        key.revoked_at = now()
    with database.reading() as session:
        assert find_key(session, presented) is None
        assert not has_keys(session, "acme")


def test_the_database_does_not_hold_the_key(database: Database) -> None:
    with database.writing() as session:
        _, presented = create_key(session, "acme", "web")
    with database.reading() as session:
        stored = str(session.execute(text("SELECT * FROM api_keys")).all())
    assert presented not in stored
    assert presented.rsplit("_", 1)[1] not in stored


def test_a_tenant_is_made_once_and_only_under_a_plain_name(database: Database) -> None:
    with database.writing() as session:
        assert ensure_tenant(session, "acme").created_at == ensure_tenant(session, "acme").created_at
        for name in ("", "Acme", "a b", "-a", "a" * 64, "../etc", "a\n"):
            with pytest.raises(BadInput):
                ensure_tenant(session, name)


def test_a_key_with_too_long_a_name_is_refused_before_a_database_does(database: Database) -> None:
    with database.writing() as session:
        create_key(session, "acme", "x" * 80)
        with pytest.raises(BadInput, match="80"):
            create_key(session, "globex", "x" * 81)
