"""KNOWLEDGE_DIR: loaded at the start, whatever the database is doing."""

import asyncio
import errno
from collections.abc import Sequence
from pathlib import Path

import pytest

from auth.principal import Principal
from bootstrap import knowledge
from domain.db_opening import open_database
from domain.document_files import DocumentFiles
from domain.documents import list_documents, replace_document
from ingestion.malware import MalwareCheck
from providers.files.folder import FolderFileStore
from providers.scanner.clamd import Clamd
from tests.domain.records import ACME, GLOBEX, content, two_tenants
from tests.fakes.clamd import FakeClamd
from tests.reading import SANDBOX, policy_with
from tests.servers.postgres import PostgresServer
from utils.sandbox.sandbox import Sandbox


@pytest.fixture
def sandbox() -> Sandbox:
    return SANDBOX


async def test_a_database_that_is_away_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sandbox: Sandbox
) -> None:
    monkeypatch.setattr(knowledge, "_RETRY_S", 0.1)
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "library.md").write_text("# Library\n\nThe library opens at nine.\n")
    with PostgresServer(tmp_path / "postgres") as server:
        url = server.new_database()
        two_tenants(url).close()
        database = open_database(url)
        server.stop()
        loading = asyncio.create_task(
            knowledge.load_knowledge(
                database,
                ACME,
                folder,
                samples=tmp_path,
                policy=policy_with(sandbox),
                progress=lambda *_: None,
                document_files=DocumentFiles(database, FolderFileStore(tmp_path / "files")),
                data_dir=tmp_path / "data",
            )
        )
        await asyncio.wait({loading}, timeout=1)
        assert not loading.done()
        await asyncio.to_thread(server.start)
        summary = await asyncio.wait_for(loading, 20)
        assert summary is not None
        assert summary.added == 1
        with database.open_read_session() as session:
            assert [document.title for document in list_documents(session, ACME)] == ["Library"]
            assert list_documents(session, GLOBEX) == []
        database.close()


class _Counted(Clamd):
    """The real client, which counts how often it is asked."""

    tries = 0

    def scan(self, data: bytes) -> str | None:
        self.tries += 1
        return super().scan(data)


async def test_a_malware_scanner_that_is_away_is_waited_for_and_no_document_fails_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, sandbox: Sandbox
) -> None:
    monkeypatch.setattr(knowledge, "_RETRY_S", 0.1)
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "library.md").write_text("# Library\n\nThe library opens at nine.\n")
    database, clamd = two_tenants(f"sqlite:///{tmp_path / 'records.db'}"), FakeClamd(tmp_path / "clamd.ctl")
    scanner = _Counted(clamd.address)
    loading = asyncio.create_task(
        knowledge.load_knowledge(
            database,
            ACME,
            folder,
            samples=tmp_path,
            policy=policy_with(sandbox, malware=MalwareCheck(scanner)),
            progress=lambda *_: None,
            document_files=DocumentFiles(database, FolderFileStore(tmp_path / "files")),
            data_dir=tmp_path / "data",
        )
    )
    while "KNOWLEDGE_DIR is loaded as soon as" not in caplog.text and not loading.done():
        await asyncio.sleep(0.02)
    while scanner.tries < 3:
        await asyncio.sleep(0.02)
    assert caplog.text.count("KNOWLEDGE_DIR is loaded as soon as") == 1
    with database.open_read_session() as session:
        assert list_documents(session, ACME) == []
    with clamd:
        summary = await asyncio.wait_for(loading, 20)
        assert summary is not None
        assert (summary.added, summary.failed) == (1, [])
        assert len(clamd.scanned) == 1
    with database.open_read_session() as session:
        assert [document.error for document in list_documents(session, ACME)] == [None]
        assert list_documents(session, GLOBEX) == []
    database.close()


class _Failing(DocumentFiles):
    """Files on a disk that has become read-only."""

    def delete_expired(self, ctx: Principal, replaced: Sequence[str] | None = None) -> int:
        raise OSError(errno.EROFS, "Read-only file system")


async def test_samples_that_cannot_be_removed_whole_stop_no_other_work_and_are_looked_for_no_more(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    database = two_tenants(f"sqlite:///{tmp_path / 'records.db'}")
    with database.open_write_session() as session:
        replace_document(session, ACME, "samples:rent.md", content("A room costs 500."))
    retiring = asyncio.create_task(
        knowledge.retire_samples(database, ACME, _Failing(database, FolderFileStore(tmp_path / "files")), every_s=0.01)
    )
    await asyncio.wait({retiring}, timeout=0.2)
    assert not retiring.done()
    with database.open_write_session() as session:
        replace_document(session, GLOBEX, "own.md", content("The library opens at nine."))
    await asyncio.wait_for(retiring, 10)
    assert "Removing the samples pauses for 0 s: OSError" in caplog.text
    with database.open_read_session() as session:
        assert list_documents(session, ACME) == []
        assert len(list_documents(session, GLOBEX)) == 1
    database.close()
