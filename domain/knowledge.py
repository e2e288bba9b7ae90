"""Which state of a tenant's documents an answer rests on."""

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from auth.principal import Principal
from domain.models import Document, IndexRow, IndexState
from domain.scoping import scoped


def compute_knowledge_version(session: Session, ctx: Principal) -> str:
    """A text that is another one after each change to the tenant's documents, to what the index holds of them, and when
    another index serves.

    One statement, since every first question waits for it: an aggregate over the tenant's rows. The newest time alone
    would not do: clocks of several machines differ.
    """
    serving = select(IndexRow.number).where(IndexRow.state == IndexState.SERVING).scalar_subquery()
    figures = scoped(ctx, Document).with_only_columns(
        serving,
        func.count(),
        func.max(Document.updated_at),
        func.min(Document.document_id),
        func.max(Document.document_id),
        *(func.sum(figure) for figure in (Document.version, Document.size_bytes, Document.chunk_count)),
        *(func.count().filter(Document.state == state) for state in ("pending", "searchable", "ready")),
    )
    return "|".join(map(str, session.execute(figures).one()))
