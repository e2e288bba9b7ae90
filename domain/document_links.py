"""What links open that need no key: how much of a document, and since when. A change holds from the next use on.

Links are revoked by numbers that only grow, one of the document, one of its dataset and one of the tenant: a link holds
their sum of when it was made.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import func
from sqlalchemy.orm import Session

from auth.principal import Principal
from domain.datasets import get_dataset
from domain.documents import get_document
from domain.models import Dataset, Document, DocumentState, Tenant
from domain.scoping import scoped, scoped_update


class LinkMode(StrEnum):
    """What a link opens, from less to more."""

    OFF = "off"  # nothing
    QUOTE = "quote"  # the cited passage with some context
    FULL = "full"  # the document, the pictures of its pages, its file

    @property
    def rank(self) -> int:
        """By which modes are compared."""
        return [*LinkMode].index(self)


@dataclass(frozen=True, slots=True)
class LinkRules:
    """A document as links find it: its present version, what they open, None where only the setting says so, and the
    *generation* that those which were not revoked are of."""

    version: int
    mode: LinkMode | None = None
    generation: int = 0


def link_rules(session: Session, ctx: Principal, document_ids: Sequence[str]) -> dict[str, LinkRules]:
    """The rules for each of these documents, without those that are deleted; at most 1,000 at once."""
    tenant = session.get(Tenant, ctx.tenant_id)
    documents = scoped(ctx, Document).outerjoin(Dataset, Dataset.dataset_id == Document.dataset_id)
    present = documents.where(Document.document_id.in_(document_ids), Document.state != DocumentState.REMOVED)
    generation = Document.links_generation + func.coalesce(Dataset.links_generation, 0)
    columns = Document.document_id, Document.version, Dataset.document_links, generation
    return {
        document_id: LinkRules(version, LinkMode(mode) if mode else None, number + tenant.links_generation)
        for document_id, version, mode, number in session.execute(present.with_only_columns(*columns))
        if tenant is not None
    }


def revoke_document_links(session: Session, ctx: Principal, document_id: str) -> None:
    """Let no link to a document that was given out so far open it any more.

    Raises:
        NotFound: the tenant has no such document.
    """
    get_document(session, ctx, document_id)
    this = scoped_update(ctx, Document).where(Document.document_id == document_id)
    changed = {"links_generation": Document.links_generation + 1, "updated_at": Document.updated_at}
    session.execute(this.values(changed))


def revoke_dataset_links(session: Session, ctx: Principal, dataset_id: str) -> None:
    """Let no link to a document of a dataset that was given out so far open it any more.

    Raises:
        NotFound: the tenant has no such dataset.
    """
    get_dataset(session, ctx, dataset_id)
    this = scoped_update(ctx, Dataset).where(Dataset.dataset_id == dataset_id)
    session.execute(this.values(links_generation=Dataset.links_generation + 1, updated_at=Dataset.updated_at))


def revoke_all_links(session: Session, ctx: Principal) -> None:
    """Let no link to a document of the tenant that was given out so far open it any more."""
    tenant = session.get_one(Tenant, ctx.tenant_id, with_for_update={"key_share": True})
    tenant.links_generation += 1
