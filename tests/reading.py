"""How files are read in tests: with the usual limits and no malware scanner, unless a test says otherwise."""

import atexit
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from auth.principal import Principal
from domain.db import Database
from domain.document_files import DocumentFiles
from domain.documents import ChunkText
from domain.permissions import PermissionCheck
from domain.quotas import UNLIMITED, Quotas
from ingestion.chunking import ChunkSizes, CountTokens, chunk_text, estimate_tokens
from ingestion.jobs import JobWorker
from ingestion.malware import MalwareCheck
from ingestion.parsers.parsed import Limits, ParsedDocument
from ingestion.parsers.sandbox import ParserProcess
from ingestion.pipeline import LoadSummary, load_paths
from ingestion.policy import ReadingPolicy
from providers.files.folder import FolderFileStore
from utils.sandbox.sandbox import Sandbox

NO_CHECK = MalwareCheck()
# One for all tests that do not harm it: to begin another takes a new interpreter, and its imports, seconds.
SANDBOX = Sandbox()
atexit.register(SANDBOX.close)


def policy_with(
    sandbox: Sandbox, *, limits: Limits | None = None, sizes: ChunkSizes | None = None, malware: MalwareCheck = NO_CHECK
) -> ReadingPolicy:
    """How files are read, by processes of *sandbox*."""
    return ReadingPolicy(limits=limits or Limits(), sizes=sizes or ChunkSizes(), malware=malware, sandbox=sandbox)


@contextmanager
def job_worker(
    database: Database,
    document_files: DocumentFiles,
    *,
    limits: Limits | None = None,
    quotas: Quotas = UNLIMITED,
    malware: MalwareCheck = NO_CHECK,
    **options: Any,
) -> Iterator[JobWorker]:
    """A worker that reads in `SANDBOX`."""
    policy = policy_with(SANDBOX, limits=limits, malware=malware)
    permissions = PermissionCheck(has_configured_key=True)
    yield JobWorker(database, document_files, policy, quotas=quotas, permissions=permissions, **options)


@contextmanager
def parsing(limits: Limits | None = None) -> Iterator[ParserProcess]:
    """What parses files, in `SANDBOX`."""
    with ParserProcess(limits or Limits(), SANDBOX) as parser:
        yield parser


_FOLDER = TemporaryDirectory(prefix="document-files-")


def files_for_one_run(database: Database) -> DocumentFiles:
    """A store of files for tests that look at none of them; it is removed when the process ends."""
    return DocumentFiles(database, FolderFileStore(Path(_FOLDER.name)))


def load_files(
    database: Database,
    ctx: Principal,
    paths: Sequence[Path],
    *,
    limits: Limits | None = None,
    sizes: ChunkSizes | None = None,
    document_files: DocumentFiles | None = None,
    **options: Any,
) -> LoadSummary:
    """`load_paths` in `SANDBOX`, and files that nobody keeps where the test gives no store."""
    files = document_files or files_for_one_run(database)
    policy = policy_with(SANDBOX, limits=limits, sizes=sizes)
    return load_paths(database, ctx, paths, policy=policy, document_files=files, **options)


def chunk_document(
    document: ParsedDocument, *, count_tokens: CountTokens = estimate_tokens, sizes: ChunkSizes | None = None
) -> list[ChunkText]:
    """The chunks of a document in English."""
    return chunk_text(document.text, document.sections, "en", count_tokens=count_tokens, sizes=sizes or ChunkSizes())
