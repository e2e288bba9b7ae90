"""What goes into datasets and out of them: rows and files together."""

from domain.datasets import create_dataset, find_dataset, remove_dataset
from domain.db import Database
from domain.documents import get_document
from domain.job_requests import remove_with_jobs
from domain.originals import Originals
from domain.uploads import Accepted, Incoming, accept
from utils.context import TenantContext
from utils.errors import Conflict


class Library:
    """Takes files in and lets go of them. Blocking, for threads."""

    def __init__(self, database: Database, originals: Originals) -> None:
        self._database, self._originals = database, originals

    def take(
        self,
        ctx: TenantContext,
        dataset_id: str,
        name: str,
        data: bytes,
        *,
        title: str | None = None,
        tags: list[str] | None = None,
        labels: dict[str, object] | None = None,
    ) -> Accepted:
        """Take a file into a dataset. On return it is not lost any more: kept on disk, and its job committed.

        Raises:
            NotFound: the tenant has no such dataset.
            StoreUnavailable: it cannot be kept; nothing has changed.
        """
        content_hash = self._originals.keep_file(ctx, data)
        incoming = Incoming(name, content_hash, len(data), title, tags or [], labels or {})
        with self._database.writing() as session:
            accepted = accept(session, ctx, dataset_id, incoming)
            # Again: until the job was there it was nobody's, and may have been removed as such.
            self._originals.keep_file(ctx, data)
        return accepted

    def ensure_dataset(self, ctx: TenantContext, name: str) -> str:
        """The id of the dataset called *name*, made if there is none."""
        with self._database.writing() as session:
            found = find_dataset(session, ctx, name)
            if found is None:
                try:
                    found = create_dataset(session, ctx, name)
                except Conflict:  # PostgreSQL: another one was first
                    found = find_dataset(session, ctx, name)
            if found is None:
                raise Conflict(f"The dataset {name!r} was removed meanwhile: try again.")
            return found.dataset_id

    def remove_document(self, ctx: TenantContext, document_id: str) -> None:
        """Take a document away, and its files.

        Raises:
            NotFound: the tenant has no such document.
        """
        with self._database.writing() as session:
            get_document(session, ctx, document_id)
            files = remove_with_jobs(session, ctx, [document_id])
        self._let_go(ctx, files)

    def remove_dataset(self, ctx: TenantContext, dataset_id: str) -> None:
        """Take a dataset away with its documents, and their files.

        Raises:
            NotFound: the tenant has no such dataset.
        """
        with self._database.writing() as session:
            files = remove_dataset(session, ctx, dataset_id)
        self._let_go(ctx, files)
        self._originals.sweep(ctx)  # what a worker that was killed has left behind

    def _let_go(self, ctx: TenantContext, files: set[str]) -> None:
        """Remove what nobody names any more; what a process that is killed here leaves, the next start removes."""
        self._originals.let_go(ctx)
        self._originals.discard(ctx, files)
