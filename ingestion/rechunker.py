"""Documents cut once more, for an index whose chunks have other sizes."""

import logging
from collections.abc import Sequence

from auth.principal import Principal
from domain.db import Database
from domain.document_files import NO_TEXT, Extracted
from domain.documents import ChunkText
from domain.file_store import FileStore
from domain.models import Chunk, Document, DocumentVersion
from domain.rechunking import add_chunks, find_known_text
from ingestion.chunking import ChunkSizes, chunk_text, estimate_tokens
from ingestion.parsers.parsed import HEADING_SEPARATOR, Section
from utils.errors import NotFound

logger = logging.getLogger(__name__)


class Rechunker:
    """Cuts documents that were loaded already, for the index of *slot*, whose passages are of *sizes*. Blocking."""

    def __init__(
        self,
        database: Database,
        files: FileStore,
        *,
        slot: int,
        sizes: ChunkSizes,
    ) -> None:
        self._database, self._files, self._slot = database, files, slot
        self._sizes = sizes

    def cut(self, ctx: Principal, document: Document) -> bool:
        """Cut its stored text; a document without one stays in the chunks it has. False: it has none.

        Raises:
            StoreUnavailable: the text cannot be read, or the chunks not be written.
        """
        with self._database.open_read_session() as session:
            version, former = find_known_text(session, ctx, document)
            session.expunge_all()
        chunks = self._cut_stored_text(ctx, version, former) or [_copy_chunk(chunk) for chunk in former]
        if not chunks:
            return False
        with self._database.open_write_session() as session:
            add_chunks(session, ctx, document, self._slot, chunks)
        return True

    def _cut_stored_text(
        self, ctx: Principal, version: DocumentVersion | None, former: Sequence[Chunk]
    ) -> list[ChunkText]:
        if version is None or version.text_hash == NO_TEXT:
            return []
        try:
            extracted = Extracted.from_bytes(self._files.get(ctx, version.text_hash))
        except (NotFound, ValueError) as exc:
            facts = {"tenant_id": ctx.tenant_id, "document_id": version.document_id, "reason": str(exc)}
            logger.warning("The stored text of a document is missing; keeping its current passages.", extra=facts)
            return []
        sections = _make_sections(extracted, former)
        return chunk_text(extracted.text, sections, version.language, sizes=self._sizes, count_tokens=estimate_tokens)


def _make_sections(extracted: Extracted, former: Sequence[Chunk]) -> list[Section]:
    """The parts of the kept text; headings that were not kept with it are those of the chunk that each begins in."""
    sections, at = [], 0
    for part in extracted.parts:
        heading = part.heading
        if heading is None:
            while at < len(former) - 1 and former[at].end <= part.body:
                at += 1
            heading = tuple(former[at].heading.split(HEADING_SEPARATOR)) if former and former[at].heading else ()
        sections.append(Section(heading, part.level, part.page, part.start, part.body, part.end))
    return sections


def _copy_chunk(chunk: Chunk) -> ChunkText:
    return ChunkText(chunk.text, chunk.start, chunk.end, chunk.heading, chunk.page, chunk.language)
