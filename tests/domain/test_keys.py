"""API keys: shown once, kept as a hash, each opening its own tenant."""

from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from auth.scopes import Scope
from domain.db import Database
from domain.keys import (
    create_key,
    ensure_tenant,
    find_key,
    has_keys,
    list_keys,
    note_use,
    read_scopes,
    revoke_key,
    rotate_key,
)
from domain.models import ApiKey, now
from domain.scoping import EVERYWHERE
from tests.domain.records import ACME, GLOBEX
from utils.errors import BadInput, Conflict, NotFound


def opened(session: Session, *presented: str) -> list[str | None]:
    """The tenants that keys open."""
    found = [find_key(session, one) for one in presented]
    return [one.key.tenant_id if one else None for one in found]


def test_a_key_opens_its_own_tenant_and_no_other(database: Database) -> None:
    with database.open_write_session() as session:
        _, ours = create_key(session, "acme", "web")
        _, theirs = create_key(session, "globex", "web")
    with database.open_read_session() as session:
        assert opened(session, ours, theirs) == ["acme", "globex"]


def test_nothing_but_the_whole_key_opens_anything(database: Database) -> None:
    with database.open_write_session() as session:
        _, first = create_key(session, "acme", "web")
        _, second = create_key(session, "globex", "web")
    mixed = first[:17] + second[17:]
    last = "a" if first[-1] != "a" else "b"
    with database.open_read_session() as session:
        for wrong in ("", "ak_live_", first[:-1], first[:-1] + last, first + "a", first.upper(), mixed, "\udcff", "ä"):
            assert find_key(session, wrong) is None


def test_a_revoked_key_opens_nothing_and_only_its_tenant_can_revoke_it(database: Database) -> None:
    with database.open_write_session() as session:
        key, presented = create_key(session, "acme", "web")
        assert has_keys(session, "acme")
        assert not has_keys(session, "globex")
        with pytest.raises(NotFound):
            revoke_key(session, GLOBEX, key.key_id)
        assert opened(session, presented) == ["acme"]
        revoked_at = revoke_key(session, ACME, key.key_id).revoked_at
        assert revoke_key(session, ACME, key.key_id).revoked_at == revoked_at
    with database.open_read_session() as session:
        assert opened(session, presented) == [None]
        assert not has_keys(session, "acme")


def test_a_key_that_has_expired_opens_nothing(database: Database) -> None:
    with database.open_write_session() as session:
        _, expired = create_key(session, "acme", "web", expires_at=now() - timedelta(seconds=1))
        assert not has_keys(session, "acme")
        _, valid = create_key(session, "acme", "web", expires_at=now() + timedelta(minutes=1))
        assert has_keys(session, "acme")
    with database.open_read_session() as session:
        assert opened(session, expired, valid) == [None, "acme"]


def test_a_rotated_key_is_valid_by_both_secrets_until_the_overlap_ends(database: Database) -> None:
    with database.open_write_session() as session:
        key, first = create_key(session, "acme", "web", scopes=[Scope.SEARCH])
        with pytest.raises(NotFound):
            rotate_key(session, GLOBEX, key.key_id, overlap=timedelta(hours=1))
        rotated, second = rotate_key(session, ACME, key.key_id, overlap=timedelta(hours=1))
        assert (rotated.key_id, read_scopes(rotated)) == (key.key_id, {Scope.SEARCH})
    with database.open_read_session() as session:
        assert opened(session, first, second) == ["acme", "acme"]
        former = find_key(session, first)
        assert former is not None
        assert former.valid_until == rotated.former_until
    with database.open_write_session() as session:
        revoke_of = session.get_one(ApiKey, key.key_id, execution_options=EVERYWHERE)
        revoke_of.former_until = now()
    with database.open_read_session() as session:
        assert opened(session, first, second) == [None, "acme"]


def test_rotating_twice_ends_the_first_secret_and_no_overlap_the_present_one(database: Database) -> None:
    with database.open_write_session() as session:
        key, first = create_key(session, "acme", "web")
        _, second = rotate_key(session, ACME, key.key_id, overlap=timedelta(hours=1))
        _, third = rotate_key(session, ACME, key.key_id, overlap=timedelta(0))
        assert opened(session, first, second, third) == [None, None, "acme"]
        revoke_key(session, ACME, key.key_id)
        assert opened(session, third) == [None]
        with pytest.raises(Conflict):
            rotate_key(session, ACME, key.key_id, overlap=timedelta(0))


def test_the_last_use_is_written_at_most_once_a_minute(database: Database) -> None:
    began = now()
    with database.open_write_session() as session:
        key, _ = create_key(session, "acme", "web")
        written = []
        for seconds in (0, 59, 61, 100, 122):
            note_use(session, ACME, key.key_id, began + timedelta(seconds=seconds))
            note_use(session, GLOBEX, key.key_id, began + timedelta(days=1))
            session.expire(key)
            written.append(key.last_used_at)
    assert written == [began + timedelta(seconds=seconds) for seconds in (0, 0, 61, 61, 122)]


def test_a_key_has_the_scopes_it_was_made_with(database: Database) -> None:
    with database.open_write_session() as session:
        some = create_key(session, "acme", "web", scopes=["search", "chat:write"])[0]
        every = create_key(session, "acme", "web", scopes=["all"])[0]
        usual = create_key(session, "acme", "web")[0]
        some_day = create_key(session, "acme", "web")[0]
        some_day.scopes = ["search", "from-a-later-version"]
        assert read_scopes(some) == {Scope.SEARCH, Scope.CHAT_WRITE}
        assert read_scopes(every) == set(Scope)
        assert read_scopes(usual) == set(Scope) - {Scope.CONVERSATIONS_ALL}
        assert read_scopes(some_day) == {Scope.SEARCH}
        for wrong in ([], ["everything"], ["search", ""]):
            with pytest.raises(BadInput, match="chat:write"):
                create_key(session, "acme", "web", scopes=wrong)


def test_the_keys_of_a_tenant_are_listed_and_no_others(database: Database) -> None:
    with database.open_write_session() as session:
        ours = [create_key(session, "acme", name)[0].key_id for name in ("first", "second")]
        create_key(session, "globex", "theirs")
        revoke_key(session, ACME, ours[0])
    with database.open_read_session() as session:
        assert [key.key_id for key in list_keys(session, ACME)] == ours[::-1]


def test_the_database_does_not_hold_the_key(database: Database) -> None:
    with database.open_write_session() as session:
        _, presented = create_key(session, "acme", "web")
    with database.open_read_session() as session:
        stored = str(session.execute(text("SELECT * FROM api_keys")).all())
    assert presented not in stored
    assert presented.rsplit("_", 1)[1] not in stored


def test_a_tenant_is_made_once_and_only_under_a_plain_name(database: Database) -> None:
    with database.open_write_session() as session:
        assert ensure_tenant(session, "acme").created_at == ensure_tenant(session, "acme").created_at
        for name in ("", "Acme", "a b", "-a", "a" * 64, "../etc", "a\n"):
            with pytest.raises(BadInput):
                ensure_tenant(session, name)


@pytest.mark.parametrize("name", ["v1", "api", "load-document", "external_login"])
def test_no_tenant_is_called_as_the_first_part_of_an_address(database: Database, name: str) -> None:
    with database.open_write_session() as session, pytest.raises(BadInput, match="addresses"):
        ensure_tenant(session, name)


def test_a_key_with_too_long_a_name_is_refused_before_a_database_does(database: Database) -> None:
    with database.open_write_session() as session:
        create_key(session, "acme", "x" * 80)
        with pytest.raises(BadInput, match="80"):
            create_key(session, "globex", "x" * 81)
