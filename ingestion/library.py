"""Adding and deleting documents of datasets: rows and files together."""

from collections.abc import Callable
from contextlib import suppress

from sqlalchemy.orm import Session

from auth.principal import Principal
from domain.dataset_roles import ensure_dataset_of
from domain.datasets import remove_dataset
from domain.db import Database
from domain.document_files import DocumentFiles
from domain.documents import get_document
from domain.job_requests import begin_again, get_job, remove_with_jobs
from domain.models import DatasetRole
from domain.quotas import Quotas
from domain.uploads import Accepted, Description, Incoming, accept
from utils.errors import Conflict, StoreUnavailable


class Library:
    """Takes files in and deletes them. Blocking, for threads."""

    def __init__(self, database: Database, document_files: DocumentFiles, quotas: Quotas) -> None:
        self._database, self._document_files, self._quotas = database, document_files, quotas

    def take(
        self, ctx: Principal, dataset_id: str, name: str, data: bytes, about: Description | None = None
    ) -> Accepted:
        """Take a file into a dataset, see `accept`. On return it is not lost any more: kept, and its job committed.

        Raises:
            NotFound: the tenant has no such dataset.
            QuotaExceeded: the tenant may not keep it, or have no further job.
            StoreUnavailable: it cannot be kept; nothing has changed.
        """
        with self._document_files.open_write_session(ctx, data) as (session, [content_hash]):
            incoming = Incoming(name, content_hash, len(data), about or Description())
            accepted = accept(session, ctx, dataset_id, incoming, self._quotas)
        if accepted.former_file:
            with suppress(StoreUnavailable):  # the job is committed; the next sweep removes the file
                self._document_files.discard(ctx, {accepted.former_file})
        return accepted

    def read_again(self, ctx: Principal, document_id: str) -> None:
        """Read a document once more, from the file that is kept.

        Raises:
            NotFound: the tenant has no such document.
            Conflict: it has no job, as a folder has brought it.
            QuotaExceeded: the tenant may have no further job.
        """
        with self._database.open_write_session() as session:
            get_document(session, ctx, document_id)
            if get_job(session, ctx, document_id) is None:
                raise Conflict("It was loaded from a folder of the server: load it again there, with flask load.")
            begin_again(session, ctx, document_id, self._quotas)

    def get_loaded_dataset(self, ctx: Principal) -> str:
        """The id of the dataset of documents that come without the name of one."""
        with self._database.open_write_session() as session:
            return ensure_dataset_of(session, ctx, DatasetRole.LOADED).dataset_id

    def remove_document(
        self, ctx: Principal, document_id: str, *, check: Callable[[Session], object] | None = None
    ) -> None:
        """Take a document away, and its files; *check* may refuse that, in the same transaction.

        Raises:
            NotFound: the tenant has no such document.
        """
        with self._database.open_write_session() as session:
            get_document(session, ctx, document_id)
            if check is not None:
                check(session)
            files = remove_with_jobs(session, ctx, [document_id])
        self._delete_files(ctx, files)

    def remove_dataset(
        self, ctx: Principal, dataset_id: str, *, check: Callable[[Session], object] | None = None
    ) -> None:
        """Take a dataset away with its documents, and their files; *check* may refuse that, in the same transaction.

        Raises:
            NotFound: the tenant has no such dataset.
            Conflict: as `domain.datasets.remove_dataset`.
        """
        with self._database.open_write_session() as session:
            if check is not None:
                check(session)
            files = remove_dataset(session, ctx, dataset_id)
        self._delete_files(ctx, files)
        self._document_files.sweep(ctx)  # what a worker that was killed has left behind

    def _delete_files(self, ctx: Principal, files: set[str]) -> None:
        """Delete files that no document needs any more; after a kill here, the next start does."""
        self._document_files.delete_expired(ctx, replaced=())
        self._document_files.discard(ctx, files)
