"""How files are read in tests: with the usual limits and no malware scanner, unless a test says otherwise."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from domain.db import Database
from domain.document_files import DocumentFiles
from domain.quotas import UNLIMITED, Quotas
from ingestion.chunking import Sizes
from ingestion.jobs import JobWorker
from ingestion.malware import MalwareCheck
from ingestion.parsers.parsed import Limits
from ingestion.parsers.sandbox import ParserProcess
from ingestion.pipeline import LoadSummary, load_paths
from ingestion.policy import ReadingPolicy
from utils.context import TenantContext
from utils.sandbox.sandbox import Sandbox

NO_CHECK = MalwareCheck()


def policy_with(
    sandbox: Sandbox, *, limits: Limits | None = None, sizes: Sizes | None = None, malware: MalwareCheck = NO_CHECK
) -> ReadingPolicy:
    """How files are read, by processes of *sandbox*."""
    return ReadingPolicy(limits=limits or Limits(), sizes=sizes or Sizes(), malware=malware, sandbox=sandbox)


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
    """A worker with a sandbox of its own."""
    with Sandbox() as sandbox:
        policy = policy_with(sandbox, limits=limits, malware=malware)
        with JobWorker(database, document_files, policy, quotas=quotas, **options) as worker:
            yield worker


@contextmanager
def parsing(limits: Limits | None = None) -> Iterator[ParserProcess]:
    """What parses files, with a sandbox of its own."""
    with Sandbox() as sandbox, ParserProcess(limits or Limits(), sandbox) as parser:
        yield parser


def load_files(
    database: Database,
    ctx: TenantContext,
    paths: Sequence[Path],
    *,
    limits: Limits | None = None,
    sizes: Sizes | None = None,
    **options: Any,
) -> LoadSummary:
    """`load_paths` with a sandbox of its own."""
    with Sandbox() as sandbox:
        return load_paths(database, ctx, paths, policy=policy_with(sandbox, limits=limits, sizes=sizes), **options)
