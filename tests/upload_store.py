"""What takes uploads in: records of two tenants, the folder of their files, and the library over both."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from domain.db import Database
from domain.document_files import DocumentFiles
from domain.quotas import UNLIMITED
from ingestion.library import Library
from providers.files.folder import FolderFileStore
from tests.domain.records import two_tenants


@dataclass(frozen=True)
class UploadStore:
    """See the module."""

    database: Database
    files: FolderFileStore
    document_files: DocumentFiles
    library: Library


@contextmanager
def open_upload_store(folder: Path) -> Iterator[UploadStore]:
    """One in *folder*, laid out as a DATA_DIR."""
    database = two_tenants(f"sqlite:///{folder / 'pustaka.db'}")
    files = FolderFileStore(folder / "files")
    document_files = DocumentFiles(database, files)
    yield UploadStore(database, files, document_files, Library(database, document_files, UNLIMITED))
    database.close()
