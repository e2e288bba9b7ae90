"""What links may open is the tenant's own to say, and revoking is counted where it was asked for."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from sqlalchemy import event

from api.links import CitationLinks, LinkSigner
from auth.principal import Principal
from domain.datasets import change_dataset, create_dataset
from domain.db import Database
from domain.document_links import (
    LinkMode,
    LinkRules,
    link_rules,
    revoke_all_links,
    revoke_dataset_links,
    revoke_document_links,
)
from domain.documents import remove_documents, replace_document
from tests.domain.records import ACME, GLOBEX, content
from utils.errors import NotFound


def add(database: Database, ctx: Principal, origin: str = "/a.md") -> tuple[str, str]:
    """A document, and its dataset."""
    with database.open_write_session() as session:
        document = replace_document(session, ctx, origin, content("a"))
        return document.document_id, str(document.dataset_id)


def rules(database: Database, ctx: Principal, document_id: str) -> LinkRules | None:
    with database.open_read_session() as session:
        return link_rules(session, ctx, [document_id]).get(document_id)


def test_revoking_counts_for_the_document_its_dataset_or_all_of_its_tenant(database: Database) -> None:
    (ours, dataset_id), (beside, _), (theirs, _) = (
        add(database, ACME),
        add(database, ACME, "/b.md"),
        add(database, GLOBEX),
    )
    with database.open_write_session() as session:
        revoke_document_links(session, ACME, ours)
        revoke_dataset_links(session, ACME, create_dataset(session, ACME, "Other").dataset_id)
    assert [rules(database, ACME, one) for one in (ours, beside)] == [LinkRules(1, None, 1), LinkRules(1, None, 0)]
    with database.open_write_session() as session:
        revoke_dataset_links(session, ACME, dataset_id)
        revoke_all_links(session, ACME)
    assert [rules(database, ACME, one) for one in (ours, beside)] == [LinkRules(1, None, 3), LinkRules(1, None, 2)]
    assert rules(database, GLOBEX, theirs) == LinkRules(1, None, 0)
    assert rules(database, GLOBEX, ours) is None
    for refused in (
        lambda session: revoke_document_links(session, GLOBEX, ours),
        lambda session: revoke_dataset_links(session, GLOBEX, dataset_id),
    ):
        with pytest.raises(NotFound), database.open_write_session() as session:
            refused(session)


def test_a_dataset_says_what_links_to_its_documents_open_while_they_are_there(database: Database) -> None:
    document_id, dataset_id = add(database, ACME)
    with database.open_write_session() as session:
        change_dataset(session, ACME, dataset_id, {"document_links": "quote"})
    assert rules(database, ACME, document_id) == LinkRules(1, LinkMode.QUOTE, 0)
    with database.open_write_session() as session:
        change_dataset(session, ACME, dataset_id, {"document_links": None})
        remove_documents(session, ACME, [document_id])
    assert rules(database, ACME, document_id) is None


async def test_what_was_looked_up_before_links_were_revoked_makes_none_afterwards(database: Database) -> None:
    links = CitationLinks(database, LinkSigner(b"key", 60), public_url=None, mode=LinkMode.FULL)
    document_id, _ = add(database, ACME)
    looked_up: list[str] = []

    def revoke(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if "FROM documents" in statement and not looked_up:
            looked_up.append(statement)
            with database.open_write_session() as session:
                revoke_document_links(session, ACME, document_id)
            links.forget()

    async def make_link() -> dict[str, list[str]]:
        address = await links.make_document_link(ACME, document_id, 1, "")
        return parse_qs(urlsplit(str(address)).query)

    event.listen(database.engine, "after_cursor_execute", revoke)
    await make_link()
    event.remove(database.engine, "after_cursor_execute", revoke)
    [token] = (await make_link())["token"]
    opened = await links.check(links.signer.open(token, document_id, 1), document_id, needed=LinkMode.FULL)
    assert opened.tenant_id == "acme"
    assert rules(database, ACME, document_id) == LinkRules(1, None, 1)
