"""Which state of a tenant's documents an answer rests on."""

from sqlalchemy import func
from sqlalchemy.orm import Session

from domain.models import Document
from domain.scoping import scoped
from utils.context import TenantContext


def knowledge_version(session: Session, ctx: TenantContext) -> str:
    """A text that is another one after each change to the tenant's documents, also to what the index holds of them.

    One aggregate over the tenant's rows. The newest time alone would not do: clocks of several machines differ.
    """
    figures = scoped(ctx, Document).with_only_columns(
        func.count(),
        func.max(Document.updated_at),
        func.min(Document.document_id),
        func.max(Document.document_id),
        *(func.sum(figure) for figure in (Document.version, Document.size_bytes, Document.chunk_count)),
        *(func.count().filter(Document.state == state) for state in ("pending", "searchable", "ready")),
    )
    return "|".join(map(str, session.execute(figures).one()))
