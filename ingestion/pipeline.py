"""Loading files: read, parse, cut, and write to SQL; the index follows by itself (`indexer.py`)."""

import stat
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from auth.principal import Principal
from domain.db import Database
from domain.document_files import DocumentFiles
from domain.documents import (
    DocumentContent,
    clear_failure,
    is_present,
    list_documents,
    record_failure,
    remove_documents,
)
from domain.models import Document, DocumentState
from domain.scoping import count_everywhere, scoped
from ingestion.parsers.parsed import Limits
from ingestion.parsers.sandbox import PageProgress
from ingestion.policy import ReadingPolicy
from ingestion.reader import PARSER_VERSION, DocumentReader, compute_content_hash
from ingestion.walk import SAMPLES, Bounds, FileEntry, Origins, Walk, find_bounds, walk
from utils.errors import UnreadableDocument

Progress = Callable[[int, int, str], None]


@dataclass(slots=True)
class LoadSummary:
    """The result of a load. `failed` and `skipped` hold names with reasons; the latter are no documents, see `Walk`.

    `unread` holds the names of documents with pages that were not read, and which and why. `chunks` were written, for
    the `added` and `changed` documents. `not_pruned` says why nothing was removed although that was asked for.
    """

    added: int = 0
    changed: int = 0
    unchanged: int = 0
    removed: int = 0
    failed: list[tuple[str, str]] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    unread: list[tuple[str, str]] = field(default_factory=list)
    not_pruned: str | None = None
    chunks: int = 0
    seconds: float = 0.0


def load_paths(
    database: Database,
    ctx: Principal,
    paths: Sequence[Path],
    *,
    policy: ReadingPolicy,
    prune: bool = False,
    samples_root: Path | None = None,
    data_dir: Path | None = None,
    document_files: DocumentFiles,
    progress: Progress | None = None,
) -> LoadSummary:
    """Load every document below *paths* into the caller's tenant; with *prune*, forget those whose file is gone.

    A link is followed within *paths* alone, else whoever may put one there could have any file of the service's user
    read. What is in *data_dir* is never read. With *prune*, documents of such links go too.

    Each document is a transaction of its own: what was loaded stays when a later one fails or the process is killed.
    Documents with pages that are pictures come twice: first with what is text in them, and when all others are done
    with the text that was recognised. *progress* is called before each of these steps, in the latter before each page,
    with how many steps are done, how many there are, and the file's name.

    Raises:
        BadInput: a path is not there, or is a folder without documents; nothing was changed.
        ScannerUnavailable: files are not read at present; those before stay loaded.
    """
    began = time.monotonic()
    bounds = find_bounds(paths, data_dir)
    walk_result, origins = walk(paths, bounds), Origins(samples_root.resolve() if samples_root else None)
    with policy.open_parser() as parser:
        load = _Load(database, ctx, origins, policy.limits, policy.make_reader(parser), document_files)
        load.take_all(walk_result, progress)
    # A folder that cannot be read looks as if its files were gone.
    if prune and walk_result.unread_folders:
        load.summary.not_pruned = _explain_no_pruning(walk_result.unread_folders)
    elif prune:
        load.summary.removed = _prune(database, ctx, origins, walk_result.folders, bounds)
    if load.summary.changed + load.summary.removed:
        document_files.delete_expired(ctx)
    load.summary.seconds = time.monotonic() - began
    return load.summary


def has_own_documents(database: Database) -> bool:
    """Whether anybody has documents but for the built-in samples, those that cannot be read left out."""
    present = Document.state.not_in((DocumentState.FAILED, DocumentState.REMOVED))
    with database.open_read_session() as session:
        return count_everywhere(session, Document, present & ~Document.origin.startswith(SAMPLES)) > 0


def has_samples(database: Database, ctx: Principal) -> bool:
    """Whether the tenant has built-in samples."""
    with database.open_read_session() as session:
        samples = scoped(ctx, Document).where(Document.origin.startswith(SAMPLES), is_present())
        return session.scalar(samples.limit(1)) is not None


def remove_samples(database: Database, ctx: Principal, document_files: DocumentFiles) -> int:
    """Forget the built-in samples and their files; how many there were."""
    with database.open_write_session() as session:
        samples = [each.document_id for each in list_documents(session, ctx) if each.origin.startswith(SAMPLES)]
        removed = remove_documents(session, ctx, samples)
    if removed:
        document_files.delete_expired(ctx)
    return removed


class _Load:
    """One load: what SQL said before it began, and what it has done."""

    def __init__(
        self,
        database: Database,
        ctx: Principal,
        origins: Origins,
        limits: Limits,
        reader: DocumentReader,
        document_files: DocumentFiles,
    ) -> None:
        self.summary = LoadSummary()
        self._database, self._ctx, self._origins, self._limits, self._reader = database, ctx, origins, limits, reader
        self._document_files = document_files
        with database.open_read_session() as session:
            self._documents = {document.origin: document for document in list_documents(session, ctx)}
        self._written: dict[str, int] = {}  # chunks by origin, in this load
        self._waiting: list[tuple[FileEntry, str]] = []

    def take_all(self, walk: Walk, progress: Progress | None) -> None:
        """Load all files, and note those that cannot be."""
        self.summary.skipped, self.summary.failed = walk.skipped, list(walk.unreadable)
        for done, file in enumerate(walk.files):
            if progress:
                progress(done, len(walk.files), file.source)
            self._take(file, self._origins.make_origin(file.path))
        for done, (file, origin) in enumerate(self._waiting, len(walk.files)):

            def note(page: int, pages: int, done: int = done, name: str = file.source) -> None:
                if progress:
                    progress(done, len(walk.files) + len(self._waiting), name)

            self._recognise(file, origin, note)

    def _take(self, file: FileEntry, origin: str) -> None:
        try:
            data = _read(file.path, self._limits.size_bytes)
            document = self._documents.get(origin)
            if document is not None and self._is_unchanged(document, data):
                self.summary.unchanged += 1
                self._forget_failure(document)
                self._handle_unread_pages(file, origin, document.details)
                return
            content = self._reader.read(data, file.path.name, file.source)
        except UnreadableDocument as exc:
            self._fail(file, origin, exc.detail)
            return
        if content.chunks:
            self._store(origin, data, content)
        self._handle_unread_pages(file, origin, content.details)

    def _handle_unread_pages(self, file: FileEntry, origin: str, details: Mapping[str, object]) -> None:
        """Put the document in line for its pages to be recognised, or note those that are not read."""
        if self._reader.awaits_recognition(details):
            self._waiting.append((file, origin))
        elif note := self._reader.describe_unread(details):
            self.summary.unread.append((file.source, note))

    def _recognise(self, file: FileEntry, origin: str, progress: PageProgress) -> None:
        try:
            data = _read(file.path, self._limits.size_bytes)
            content = self._reader.read_whole(data, file.path.name, file.source, progress=progress)
        except UnreadableDocument as exc:
            self._fail(file, origin, exc.detail)
            return
        self._store(origin, data, content)
        self._handle_unread_pages(file, origin, content.details)

    def _is_unchanged(self, document: Document, data: bytes) -> bool:
        if document.state == DocumentState.FAILED or document.parser_version != PARSER_VERSION:
            return False
        return document.content_hash == compute_content_hash(data)

    def _forget_failure(self, document: Document) -> None:
        if document.error is not None:
            with self._database.open_write_session() as session:
                clear_failure(session, self._ctx, document.document_id)

    def _store(self, origin: str, data: bytes, content: DocumentContent) -> None:
        self._document_files.replace(self._ctx, origin, data, content)
        former, self._written[origin] = self._written.get(origin), len(content.chunks)
        self.summary.chunks += len(content.chunks) - (former or 0)
        document = self._documents.get(origin)
        if former is not None:
            return
        if document is None or document.state == DocumentState.FAILED:
            self.summary.added += 1
        else:
            self.summary.changed += 1

    def _fail(self, file: FileEntry, origin: str, reason: str) -> None:
        self.summary.failed.append((file.source, reason))
        with self._database.open_write_session() as session:
            record_failure(session, self._ctx, origin, file.source, reason)


def _read(path: Path, size_bytes: int) -> bytes:
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise UnreadableDocument("It is not a regular file.")
        if status.st_size > size_bytes:
            raise UnreadableDocument(f"It is larger than {size_bytes / 1e6:g} MB: split it, or raise MAX_FILE_SIZE.")
        return path.read_bytes()
    except OSError as exc:
        raise UnreadableDocument(f"The file cannot be opened: {exc.strerror}.") from exc


def _explain_no_pruning(unread_folders: Sequence[str]) -> str:
    more = f" and {len(unread_folders) - 1} more" if len(unread_folders) > 1 else ""
    return (
        f"Nothing was pruned: {unread_folders[0]}{more} cannot be read, and it is not known which of its files are "
        "gone. Make it readable, or name other folders, and load again."
    )


def _prune(database: Database, ctx: Principal, origins: Origins, folders: Sequence[Path], bounds: Bounds) -> int:
    with database.open_write_session() as session:
        document_ids = [
            document.document_id
            for document in list_documents(session, ctx)
            if (path := origins.find_path(document.origin)) is not None
            and any(path.is_relative_to(folder) for folder in folders)
            and (not path.exists() or bounds.explain_refusal(path))
        ]
        return remove_documents(session, ctx, document_ids)
