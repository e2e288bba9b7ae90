"""Loading files: read, parse, cut, and write to SQL; the index follows by itself (`indexer.py`)."""

import hashlib
import re
import stat
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from domain.db import Database
from domain.documents import (
    ChunkText,
    DocumentContent,
    clear_failure,
    list_documents,
    record_failure,
    remove_documents,
    replace_document,
)
from domain.models import Document, DocumentState
from ingestion.chunking import CountTokens, Sizes, chunk_document, estimate_tokens
from ingestion.language import document_language, passage_language
from ingestion.parsers.kinds import parse
from ingestion.parsers.parsed import Limits, ParsedDocument
from ingestion.walk import SAMPLES, Found, Origins, walk
from utils.context import TenantContext
from utils.errors import UnreadableDocument

# Raise it when parsers or chunking change what they give: unchanged files are then read again.
RECIPE_VERSION = 1
Progress = Callable[[int, int, str], None]


@dataclass(slots=True)
class LoadSummary:
    """What a load did. `failed` holds names with reasons; `skipped` the names of files of kinds that are not read.

    `chunks` were written, for the `added` and `changed` documents.
    """

    added: int = 0
    changed: int = 0
    unchanged: int = 0
    removed: int = 0
    failed: list[tuple[str, str]] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    chunks: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class _Known:
    """What SQL says about a document before the load."""

    document_id: str
    content_hash: str
    recipe: str
    state: str
    failed: bool


def load_paths(
    database: Database,
    ctx: TenantContext,
    paths: Sequence[Path],
    *,
    prune: bool = False,
    samples_root: Path | None = None,
    progress: Progress | None = None,
    limits: Limits | None = None,
    sizes: Sizes | None = None,
    count_tokens: CountTokens = estimate_tokens,
) -> LoadSummary:
    """Load every document below *paths* into the caller's tenant; with *prune*, forget those whose file is gone.

    Each document is a transaction of its own: what was loaded stays when a later one fails or the process is killed.
    *progress* is called before each file with how many are done, how many there are, and its name.

    Raises:
        BadInput: a path is not there, or is a folder without documents; nothing was changed.
    """
    began = time.monotonic()
    found = walk(paths)
    origins = Origins(samples_root.resolve() if samples_root else None)
    load = _Load(database, ctx, origins, limits or Limits(), sizes or Sizes(), count_tokens)
    load.summary.skipped, load.summary.failed = found.skipped, list(found.unreadable)
    for done, file in enumerate(found.files):
        if progress:
            progress(done, len(found.files), file.source)
        load.take(file)
    # A folder that cannot be read looks as if its files were gone.
    if prune and not found.unreadable:
        load.summary.removed = _prune(database, ctx, origins, found.folders)
    load.summary.seconds = time.monotonic() - began
    return load.summary


def remove_samples(database: Database, ctx: TenantContext) -> int:
    """Forget the built-in samples; how many there were."""
    with database.writing() as session:
        samples = [known.document_id for known in list_documents(session, ctx) if known.origin.startswith(SAMPLES)]
        return remove_documents(session, ctx, samples)


class _Load:
    """One load: what it found before it began, and what it has done."""

    def __init__(
        self,
        database: Database,
        ctx: TenantContext,
        origins: Origins,
        limits: Limits,
        sizes: Sizes,
        count_tokens: CountTokens,
    ) -> None:
        self.summary = LoadSummary()
        self._database, self._ctx, self._origins = database, ctx, origins
        self._limits, self._sizes, self._count_tokens = limits, sizes, count_tokens
        self._recipe = f"{RECIPE_VERSION}/{sizes.target}/{sizes.most}/{sizes.small}/{sizes.tiny}"
        with database.reading() as session:
            self._known = {document.origin: _known(document) for document in list_documents(session, ctx)}

    def take(self, file: Found) -> None:
        """Load one file, or note why not."""
        origin = self._origins.of(file.path)
        try:
            data = _read(file.path, self._limits.size_bytes)
            content_hash = hashlib.sha256(data).hexdigest()
            if self._is_unchanged(origin, content_hash):
                self.summary.unchanged += 1
                return
            content = self._content(file, data, content_hash)
        except UnreadableDocument as exc:
            self._fail(file, origin, exc.detail)
            return
        self._store(origin, content)

    def _is_unchanged(self, origin: str, content_hash: str) -> bool:
        known = self._known.get(origin)
        if known is None or (known.content_hash, known.recipe) != (content_hash, self._recipe):
            return False
        if known.failed and known.state != DocumentState.FAILED:
            with self._database.writing() as session:
                clear_failure(session, self._ctx, known.document_id)
        return known.state != DocumentState.FAILED

    def _content(self, file: Found, data: bytes, content_hash: str) -> DocumentContent:
        parsed = parse(data, file.path.name, self._limits)
        language = document_language(parsed.text)
        return DocumentContent(
            source=file.source,
            title=parsed.title or readable_name(file.path.name),
            url=parsed.url,
            language=language,
            media_type=parsed.media_type,
            size_bytes=len(data),
            content_hash=content_hash,
            recipe=self._recipe,
            chunks=self._chunks(parsed, language),
            details={"characters": len(parsed.text), "pages": parsed.pages},
        )

    def _chunks(self, parsed: ParsedDocument, language: str) -> list[ChunkText]:
        cut = chunk_document(parsed, count_tokens=self._count_tokens, sizes=self._sizes)
        texts = ((chunk, parsed.text[chunk.start : chunk.end]) for chunk in cut)
        return [
            ChunkText(text, chunk.start, chunk.end, chunk.heading, chunk.page, passage_language(text, language))
            for chunk, text in texts
        ]

    def _store(self, origin: str, content: DocumentContent) -> None:
        with self._database.writing() as session:
            replace_document(session, self._ctx, origin, content)
        self.summary.chunks += len(content.chunks)
        known = self._known.get(origin)
        if known is None or known.state == DocumentState.FAILED:
            self.summary.added += 1
        else:
            self.summary.changed += 1

    def _fail(self, file: Found, origin: str, reason: str) -> None:
        self.summary.failed.append((file.source, reason))
        with self._database.writing() as session:
            record_failure(session, self._ctx, origin, file.source, reason)


def readable_name(file_name: str) -> str:
    """A title made of a file's name: `annual-leave_policy.md` is "Annual leave policy"."""
    words = re.sub(r"[-_\s]+", " ", Path(file_name).stem).strip()
    return words[:1].upper() + words[1:] if words else file_name


def _known(document: Document) -> _Known:
    return _Known(
        document.document_id, document.content_hash, document.recipe, document.state, document.error is not None
    )


def _read(path: Path, size_bytes: int) -> bytes:
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise UnreadableDocument("It is not a regular file.")
        if status.st_size > size_bytes:
            raise UnreadableDocument(
                f"It is larger than {size_bytes / 1e6:g} MB: split it, or raise the limit with MAX_FILE_SIZE."
            )
        return path.read_bytes()
    except OSError as exc:
        raise UnreadableDocument(f"The file cannot be opened: {exc.strerror}.") from exc


def _prune(database: Database, ctx: TenantContext, origins: Origins, folders: Sequence[Path]) -> int:
    with database.writing() as session:
        gone = [
            document.document_id
            for document in list_documents(session, ctx)
            if (path := origins.path(document.origin)) is not None
            and any(path.is_relative_to(folder) for folder in folders)
            and not path.exists()
        ]
        return remove_documents(session, ctx, gone)
