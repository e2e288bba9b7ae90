"""Who asked for something may have lost the right to it since: asked again, for two tenants."""

from dataclasses import replace
from datetime import timedelta

import pytest

from auth.background import make_system
from auth.credentials import (
    make_configured_key_principal,
    make_key_principal,
    make_link_bearer,
    make_page_principal,
    make_visitor,
)
from auth.operators import make_operator
from auth.principal import Principal, PrincipalKind
from auth.scopes import ALL_SCOPES, BOT_KEY_SCOPES, VISITOR_SCOPES, Scope
from domain.db import Database
from domain.keys import create_key, read_scopes, revoke_key, rotate_key
from domain.models import ApiKey, now
from domain.permissions import PermissionCheck
from domain.scoping import scoped_update
from utils.errors import Forbidden

CHECK = PermissionCheck(has_configured_key=True)
ACME, GLOBEX = make_operator("acme"), make_operator("globex")


def new_key(database: Database, tenant_id: str, scopes: list[str] | None = None) -> Principal:
    with database.open_write_session() as session:
        key, _ = create_key(session, tenant_id, "test", scopes=scopes or ["all"])
        return make_key_principal(tenant_id, key.key_id, read_scopes(key))


def change(database: Database, operator: Principal, key: Principal, **values: object) -> None:
    with database.open_write_session() as session:
        session.execute(scoped_update(operator, ApiKey).where(ApiKey.key_id == key.subject_id).values(**values))


def check(database: Database, principal: Principal, *needed: Scope) -> Principal:
    with database.open_read_session() as session:
        return CHECK.check(session, principal, *needed)


def test_a_key_that_is_valid_keeps_the_scopes_that_it_still_has(database: Database) -> None:
    ours, theirs = new_key(database, "acme"), new_key(database, "globex")
    assert check(database, ours, Scope.CHAT_WRITE) == ours
    change(database, ACME, ours, scopes=["chat:write", "search"])
    assert check(database, ours, Scope.CHAT_WRITE).scopes == {Scope.CHAT_WRITE, Scope.SEARCH}
    assert check(database, theirs, Scope.CHAT_WRITE) == theirs
    change(database, ACME, ours, scopes=["all"])
    narrow = replace(ours, scopes=frozenset({Scope.CHAT_WRITE}))
    assert check(database, narrow, Scope.CHAT_WRITE) == narrow, "nothing that it had not when it asked"


def test_a_key_for_one_bot_keeps_those_of_talking_to_it(database: Database) -> None:
    ours, theirs = new_key(database, "acme"), new_key(database, "globex")
    change(database, ACME, ours, bot_id="default")
    assert check(database, ours, Scope.CHAT_WRITE).scopes == BOT_KEY_SCOPES
    with pytest.raises(Forbidden, match="search"):
        check(database, ours, Scope.SEARCH)
    assert check(database, theirs, Scope.SEARCH) == theirs


def test_a_scope_that_a_key_has_lost_is_named(database: Database) -> None:
    ours, theirs = new_key(database, "acme"), new_key(database, "globex")
    change(database, ACME, ours, scopes=["search"])
    with pytest.raises(Forbidden, match=r"no longer has the scope chat:write, so the work was stopped") as refused:
        check(database, ours, Scope.SEARCH, Scope.CHAT_WRITE)
    assert refused.value.members == {"required_scope": "chat:write"}
    assert check(database, theirs, Scope.CHAT_WRITE) == theirs


def test_a_key_that_was_revoked_or_has_expired_may_do_nothing(database: Database) -> None:
    revoked, expired, theirs = new_key(database, "acme"), new_key(database, "acme"), new_key(database, "globex")
    with database.open_write_session() as session:
        revoke_key(session, ACME, revoked.subject_id)
    change(database, ACME, expired, expires_at=now() - timedelta(seconds=1))
    for principal in (revoked, expired, make_key_principal("acme", "n0such00", ALL_SCOPES)):
        with pytest.raises(Forbidden, match="was revoked or has expired, so the work was stopped"):
            check(database, principal)
    assert check(database, theirs) == theirs


def test_a_key_of_another_tenant_is_none(database: Database) -> None:
    theirs = new_key(database, "globex")
    with pytest.raises(Forbidden, match="was revoked"):
        check(database, replace(theirs, tenant_id="acme"))


def test_a_rotated_key_may_what_it_might_before(database: Database) -> None:
    ours = new_key(database, "acme")
    with database.open_write_session() as session:
        rotate_key(session, ACME, ours.subject_id, overlap=timedelta(0))
    assert check(database, ours, Scope.CHAT_WRITE) == ours


def test_the_key_of_the_settings_may_while_they_name_one(database: Database) -> None:
    configured = make_configured_key_principal()
    assert check(database, configured, *ALL_SCOPES) == configured
    with database.open_read_session() as session, pytest.raises(Forbidden, match="was revoked"):
        PermissionCheck(has_configured_key=False).check(session, configured, Scope.CHAT_WRITE)


def test_whoever_needs_no_key_keeps_what_they_may(database: Database) -> None:
    for principal in (ACME, GLOBEX):
        assert check(database, principal, *ALL_SCOPES) == principal
    assert check(database, make_system("acme"), Scope.DOCUMENTS_WRITE) == make_system("acme")
    visitor = make_visitor(make_page_principal(), "1")
    assert check(database, visitor, *VISITOR_SCOPES) == visitor
    with pytest.raises(Forbidden, match="documents:write"):
        check(database, visitor, Scope.DOCUMENTS_WRITE)
    for stranger in (make_link_bearer("acme"), Principal("acme", "u", PrincipalKind.USER, ALL_SCOPES)):
        with pytest.raises(Forbidden):
            check(database, stranger)
