"""What has become of the documents that an exported conversation cites."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from auth.principal import Principal
from domain.db import Database
from domain.document_files import find_current_versions, find_document_status
from utils.errors import StoreUnavailable


class CitedDocuments:
    """Puts `document_status` into citations; None where it is not known, as while the database is away. Blocking."""

    def __init__(self, database: Database, ctx: Principal) -> None:
        self._database, self._ctx = database, ctx
        self._versions: dict[str, int | None] = {}

    def note(self, checkpoint: dict[str, Any]) -> None:
        """Say in each citation of an exported checkpoint what has become of its document."""
        for citation in list(_iter_citations(checkpoint)):
            status = self._find_status(citation)
            citation |= {"document_status": status, "document_state": status}  # the second is its old name

    def _find_status(self, citation: dict[str, Any]) -> str | None:
        document_id, version = citation.get("document_id"), citation.get("version")
        if not isinstance(document_id, str) or not isinstance(version, int):
            return None
        if document_id not in self._versions:
            with suppress(StoreUnavailable), self._database.open_read_session() as session:
                current_versions = find_current_versions(session, self._ctx, [document_id])
                self._versions[document_id] = current_versions.get(document_id)
        return find_document_status(version, self._versions[document_id]) if document_id in self._versions else None


def _iter_citations(checkpoint: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for values in checkpoint["values"].values():
        for message in values if isinstance(values, list) else ():
            extra = message.get("additional_kwargs") if isinstance(message, dict) else None
            cited = extra.get("citations") if isinstance(extra, dict) else None
            yield from (one for one in cited or () if isinstance(one, dict))
