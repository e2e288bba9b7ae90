"""What is said of a document, not what it says: how it is changed, as somebody has seen it."""

from typing import Any

from pydantic import Field
from sqlalchemy.orm import Session

from api.conditional import check_unchanged, merge_patch
from api.dataset_schemas import Strict, Tags
from api.document_views import compute_etag, describe
from api.metadata import check_document_metadata
from auth.principal import Principal
from domain import progress
from domain.documents import lock_document
from domain.models import Document
from utils.validation import refuse_field


class DocumentPatch(Strict):
    """What to change; what is left out stays, null clears, and metadata is merged (RFC 7396)."""

    tags: Tags | None = None
    metadata: dict[str, Any] | None = Field(
        None, description="As when it is taken in; a member that is null is removed.", examples=[{"precedence": 5}]
    )

    def change(self, document: Document) -> tuple[list[str], dict[str, Any]]:
        """The tags and the metadata that *document* is to have.

        Raises:
            BadInput: the metadata cannot be as it would be.
        """
        tags = (self.tags or []) if "tags" in self.model_fields_set else document.tags
        if "metadata" not in self.model_fields_set:
            return tags, document.labels
        merged = {} if self.metadata is None else merge_patch(document.labels, self.metadata)
        try:
            return tags, check_document_metadata(merged)
        except ValueError as exc:
            raise refuse_field(f"metadata: {exc}.", "metadata") from exc


def take_unchanged(session: Session, ctx: Principal, document_id: str) -> Document:
    """The document, locked, if `If-Match` lets it be changed.

    Raises:
        NotFound: the caller has none of this id.
        PreconditionFailed: it was changed since.
    """
    document = lock_document(session, ctx, document_id)
    former = describe(progress.get_progress(session, ctx, document_id))
    check_unchanged(compute_etag(former), former.model_dump())
    return document
