"""Documents as they came and as they were read, version by version, for those who follow a citation."""

import hashlib
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import BinaryIO, Self, TypeVar

import orjson
from sqlalchemy import Delete, Update, func
from sqlalchemy.orm import Session

from auth.principal import Principal
from domain.db import Database
from domain.documents import DocumentContent, replace_document
from domain.file_store import FileStore
from domain.models import Document, DocumentState, DocumentVersion, Job, Tenant, now
from domain.scoping import list_tenants, scoped, scoped_delete, scoped_update, select_over
from utils.disk import DiskSpace

logger = logging.getLogger(__name__)

VERSIONS_KEPT = 3
NO_TEXT = hashlib.sha256(b"").hexdigest()  # the text's hash of a version whose text was not kept
_AT_ONCE = 200  # files that are removed while nobody else of the tenant can write


@dataclass(frozen=True, slots=True)
class TextPart:
    """A stretch of a document's text under one heading and on one page.

    The text is `text[body:end]`; between `start` and `body` stands the heading's own line. `level` is the heading's,
    0 without one. `heading` is its path from the outermost down, None in what was kept before that was.
    """

    start: int
    body: int
    end: int
    level: int
    page: int | None
    heading: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Extracted:
    """What was read from a file: citations are places in `text`; `parts` are in reading order."""

    text: str
    parts: tuple[TextPart, ...]

    def to_bytes(self) -> bytes:
        """The bytes to keep. Equal content gives equal bytes, which are kept once."""
        parts = [[part.start, part.body, part.end, part.level, part.page, part.heading] for part in self.parts]
        return orjson.dumps({"text": self.text, "parts": parts})

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """The opposite of `to_bytes`.

        Raises:
            ValueError: it is something else; it may have come from elsewhere, with an import.
        """
        try:
            fields = orjson.loads(data)
            extracted = cls(fields["text"], tuple(_make_part(*part) for part in fields["parts"]))
            if all(0 <= part.start <= part.body <= part.end <= len(extracted.text) for part in extracted.parts):
                return extracted
        except (KeyError, TypeError) as exc:
            raise ValueError("It is no text with its parts.") from exc
        raise ValueError("Its parts are not within its text.")


def _make_part(
    start: int, body: int, end: int, level: int, page: int | None, heading: Sequence[str] | None = None
) -> TextPart:
    names = None if heading is None else tuple(heading)
    if not all(isinstance(each, int) for each in (start, body, end, level, page or 0)):
        raise TypeError
    if not all(isinstance(each, str) for each in names or ()):
        raise TypeError
    return TextPart(start, body, end, level, page, names)


class DocumentFiles:
    """The files of documents: put with a version, removed with it.

    Two files keep a version, the original and what was read from it; versions may share them, also those of several
    documents. A replaced version is kept while it is among the newest *versions_kept* of its document, so that older
    citations still open; a deleted document's files go at once. Blocking, for threads.
    """

    def __init__(
        self,
        database: Database,
        files: FileStore,
        *,
        versions_kept: int = VERSIONS_KEPT,
        disk: DiskSpace | None = None,
    ) -> None:
        """*disk* is where the files are; without it they are taken until it is full."""
        self._database, self._files, self._versions_kept, self._disk = database, files, versions_kept, disk

    def check_room(self, size_bytes: int = 0) -> None:
        """Raises NotEnoughSpace where there is no room for files of this size."""
        if self._disk is not None:
            self._disk.check_documents(size_bytes)

    def replace(self, ctx: Principal, origin: str, data: bytes, content: DocumentContent) -> Document:
        """Make *content*, read from *data*, what the document at *origin* says, and keep both; committed.

        Raises:
            StoreUnavailable: the database or the files cannot be written; nothing has changed.
        """
        with self.open_write_session(ctx, data, content.extracted) as (session, _):
            return replace_document(session, ctx, origin, content)

    @contextmanager
    def open_write_session(self, ctx: Principal, *files: bytes) -> Iterator[tuple[Session, list[str]]]:
        """A transaction for the rows that name *files*, and the hashes of these; they stay only if it is committed.

        Raises:
            StoreUnavailable: the database or the files cannot be written; nothing has changed.
        """
        self.check_room(sum(map(len, files)))
        try:
            hashes = self._put(ctx, files)
            with self._database.open_write_session() as session:
                yield session, hashes
                session.flush()
                # Again: until their rows were there nothing named them, and they may have been removed as such.
                self._put(ctx, files)
        except BaseException:
            self.try_discard(ctx, *files)
            raise

    def _put(self, ctx: Principal, files: Sequence[bytes]) -> list[str]:
        return [self._files.put(ctx, file) for file in files]

    def open_original(self, ctx: Principal, version: DocumentVersion) -> BinaryIO:
        """The file as it came, open for reading; see `FileStore.open`.

        Raises:
            NotFound: it is not kept, or not any more.
        """
        return self._files.open(ctx, version.content_hash)

    def read_extracted(self, ctx: Principal, version: DocumentVersion) -> Extracted:
        """What was read from it.

        Raises:
            NotFound: it is not kept, or not any more.
        """
        return Extracted.from_bytes(self._files.get(ctx, version.text_hash))

    def delete_expired(self, ctx: Principal, replaced: Sequence[str] | None = None) -> int:
        """Remove the files of deleted documents and of versions too old to be kept; how many versions that were.

        After every change; what a process leaves undone, the next one does. *replaced* are the documents, at most
        1,000, that may have too many versions; without it all of the tenant's are looked through.
        """
        if replaced is None or replaced:
            with self._database.open_write_session() as session:
                _delete_outdated(session, ctx, self._versions_kept, replaced)
        with self._database.open_read_session() as session:
            deleted = list(session.scalars(scoped(ctx, DocumentVersion).where(DocumentVersion.deleted_at.is_not(None))))
        self.discard(ctx, {name for version in deleted for name in (version.content_hash, version.text_hash)})
        with self._database.open_write_session() as session:
            for version in deleted:
                statement = scoped_delete(ctx, DocumentVersion)
                session.execute(_limit_to_version(statement, version.document_id, version.version))
        return len(deleted)

    def tidy(self) -> None:
        """`delete_expired` and `sweep` for every tenant; after a start, for what was left undone."""
        with self._database.open_read_session() as session:
            tenants = list_tenants(session)
        for ctx in tenants:
            self.delete_expired(ctx)
            self.sweep(ctx)

    def sweep(self, ctx: Principal) -> int:
        """Remove files that no version names, as a load leaves them that was killed; how many."""
        names, removed = self._files.list_hashes(ctx), 0
        while batch := set(islice(names, _AT_ONCE)):
            removed += self.discard(ctx, batch)
        return removed

    def read_file(self, ctx: Principal, content_hash: str) -> bytes:
        """A file by its hash.

        Raises:
            NotFound: it is not kept, or not any more.
        """
        return self._files.get(ctx, content_hash)

    def quarantine(self, ctx: Principal, content_hash: str) -> None:
        """Put a file where nobody can download it, whatever names it; see `FileStore.quarantine`."""
        self._files.quarantine(ctx, content_hash)

    def try_discard(self, ctx: Principal, *files: bytes) -> None:
        """Remove those of *files* that nothing names; what cannot be removed now, the next `sweep` removes."""
        try:
            self.discard(ctx, {hashlib.sha256(file).hexdigest() for file in files})
        except Exception:
            logger.warning("Files that are not used could not be deleted.", exc_info=True)

    def discard(self, ctx: Principal, names: set[str]) -> int:
        """Remove those of these files that nothing names any more; how many."""
        removed = 0
        for batch in _cut_into_batches(names):
            with self._database.open_read_session() as session:
                unused = _find_unused(session, ctx, batch)
            if unused:
                with self._database.open_write_session() as session:
                    # Waits for every transaction that has written a version, and keeps others from it meanwhile: on
                    # PostgreSQL a new row locks its tenant's against this, and on SQLite one writes at a time.
                    session.get(Tenant, ctx.tenant_id, with_for_update=True)
                    unused = _find_unused(session, ctx, unused)
                    for name in unused:
                        self._files.delete(ctx, name)
                    removed += len(unused)
        return removed


def find_version(
    session: Session, ctx: Principal, document_id: str, version: int | None = None
) -> DocumentVersion | None:
    """That version of a document, the newest without a number; None where it is not kept, or not for the caller."""
    found = scoped(ctx, DocumentVersion).where(
        DocumentVersion.document_id == document_id, DocumentVersion.deleted_at.is_(None)
    )
    if version is not None:
        found = found.where(DocumentVersion.version == version)
    return session.scalar(found.order_by(DocumentVersion.version.desc()).limit(1))


def find_current_versions(session: Session, ctx: Principal, document_ids: Sequence[str]) -> dict[str, int]:
    """The version that each of these documents is at, without those that are deleted; at most 1,000 at once."""
    present = scoped(ctx, Document).where(
        Document.document_id.in_(document_ids), Document.state != DocumentState.REMOVED
    )
    rows = session.execute(present.with_only_columns(Document.document_id, Document.version))
    return {document_id: version for document_id, version in rows}


def _delete_outdated(session: Session, ctx: Principal, versions_kept: int, document_ids: Sequence[str] | None) -> None:
    key = (DocumentVersion.document_id, DocumentVersion.version)
    newest_first = func.row_number().over(partition_by=key[0], order_by=key[1].desc())
    replaced = scoped(ctx, DocumentVersion).where(
        DocumentVersion.replaced_at.is_not(None), DocumentVersion.deleted_at.is_(None)
    )
    if document_ids is not None:
        replaced = replaced.where(DocumentVersion.document_id.in_(document_ids))
    ranked = replaced.with_only_columns(*key, newest_first.label("place")).subquery()
    outdated = select_over(ctx, ranked.c.document_id, ranked.c.version).where(ranked.c.place > versions_kept)
    for document_id, version in session.execute(outdated).all():
        this = _limit_to_version(scoped_update(ctx, DocumentVersion), document_id, version)
        session.execute(this.values(deleted_at=now()))


Change = TypeVar("Change", Update, Delete)


def _limit_to_version(change: Change, document_id: str, version: int) -> Change:
    return change.where(DocumentVersion.document_id == document_id, DocumentVersion.version == version)


def _find_unused(session: Session, ctx: Principal, names: set[str]) -> set[str]:
    """The files that no version in use names, and no job."""
    present = scoped(ctx, DocumentVersion).where(DocumentVersion.deleted_at.is_(None))
    used = set(session.scalars(scoped(ctx, Job).with_only_columns(Job.content_hash).where(Job.content_hash.in_(names))))
    for column in (DocumentVersion.content_hash, DocumentVersion.text_hash):
        used |= set(session.scalars(present.with_only_columns(column).where(column.in_(names))))
    return names - used


def _cut_into_batches(names: set[str]) -> Iterator[set[str]]:
    waiting = iter(names)
    while batch := set(islice(waiting, _AT_ONCE)):
        yield batch


def find_document_status(version: int, current: int | None) -> str:
    """What has become of *version* of a document that is at *current* now, None where it is deleted."""
    if current is None:
        return "deleted"
    return "current" if version >= current else "replaced"
