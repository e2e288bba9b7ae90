"""Workers: what becomes of an uploaded document, with real files, a real database and the real parser process."""

import hashlib
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy.exc import SQLAlchemyError

from auth.credentials import make_key_principal
from auth.principal import Principal
from auth.scopes import Scope
from domain import jobs
from domain.db import Database
from domain.document_files import DocumentFiles
from domain.documents import get_chunks
from domain.job_leases import OPEN
from domain.job_requests import cancel
from domain.keys import create_key, revoke_key
from domain.models import ApiKey, Job, JobStage, JobStatus, now
from domain.progress import get_progress
from domain.quotas import UNLIMITED, find_next_day, get_usage
from domain.scoping import count_everywhere, scoped, scoped_update
from domain.uploads import Description
from ingestion.jobs import JobWorker
from ingestion.library import Library
from ingestion.malware import MalwareCheck
from ingestion.parsers.parsed import Limits
from ingestion.parsers.recognition import Recognition
from providers.files.folder import FolderFileStore
from tests.domain.records import ACME, GLOBEX, refuse
from tests.domain.uploaded import job_of, let_lease_run_out, let_pause_be_over, new_dataset, tidy
from tests.fakes.clamd import EICAR, SIGNATURE
from tests.ingestion.files import joined, pdf, picture, pictures
from tests.reading import job_worker
from tests.upload_store import UploadStore, open_upload_store
from utils.errors import QuotaExceeded

TEXT = b"The warden of the tower is Miller."


@pytest.fixture
def uploads(tmp_path: Path) -> Iterator[UploadStore]:
    with open_upload_store(tmp_path) as opened:
        yield opened


@pytest.fixture
def database(uploads: UploadStore) -> Database:
    return uploads.database


@pytest.fixture
def files(uploads: UploadStore) -> FolderFileStore:
    return uploads.files


@pytest.fixture
def document_files(uploads: UploadStore) -> DocumentFiles:
    return uploads.document_files


@pytest.fixture
def library(uploads: UploadStore) -> Library:
    return uploads.library


@pytest.fixture
def worker(database: Database, document_files: DocumentFiles) -> Iterator[JobWorker]:
    with job_worker(database, document_files) as worker:
        yield worker


def take(library: Library, ctx: Principal, name: str = "a.txt", data: bytes = TEXT) -> str:
    about = Description(external_id=name)
    return library.take(ctx, library.get_loaded_dataset(ctx), name, data, about).document.document_id


def kept(files: FolderFileStore, ctx: Principal) -> set[str]:
    return set(files.list_hashes(ctx))


def test_documents_of_all_tenants_are_read_into_chunks_and_wait_for_the_index(
    database: Database, library: Library, worker: JobWorker
) -> None:
    ours, theirs = take(library, ACME), take(library, GLOBEX)
    assert worker.run_next()
    assert not worker.run_next()
    for ctx, document_id in ((ACME, ours), (GLOBEX, theirs)):
        with database.open_read_session() as session:
            assert [chunk.text for chunk in get_chunks(session, ctx, document_id)] == [TEXT.decode()]
            assert get_progress(session, ctx, document_id).stage == JobStage.INDEXING


def test_tenants_take_turns_and_a_scan_lets_the_files_of_others_go_first(
    database: Database, library: Library, worker: JobWorker
) -> None:
    scan = take(library, ACME, "scan.png", picture("The library closes at ten"))
    ours = [take(library, ACME, f"{number}.txt", b"%d. " % number + TEXT) for number in range(3)]
    theirs = take(library, GLOBEX)
    assert worker.run_next()
    assert job_of(database, GLOBEX, theirs).stage == JobStage.INDEXING
    while job_of(database, ACME, scan).stage != JobStage.INDEXING:
        assert worker.run_next()
        stages = {job_of(database, ACME, one).stage for one in ours}
        assert stages == {JobStage.INDEXING} or job_of(database, ACME, scan).stage != JobStage.INDEXING
    assert {job_of(database, ACME, one).stage for one in ours} == {JobStage.INDEXING}


def test_a_small_file_is_read_before_those_of_its_own_tenant_and_the_oldest_gets_every_fourth_turn(
    database: Database, library: Library, worker: JobWorker
) -> None:
    load = [take(library, ACME, f"load {number}.txt", b"%d. " % number + TEXT * 20) for number in range(8)]
    oldest = take(library, ACME, "oldest.txt", b"First. " + TEXT * 40)
    with database.open_write_session() as session:
        waited = scoped_update(ACME, Job).where(Job.document_id == oldest)
        session.execute(waited.values(not_before=now() - timedelta(minutes=1)))
    order = []
    for number in range(4):
        small = take(library, ACME, f"small {number}.txt", b"%d. " % number + TEXT)
        others = take(library, GLOBEX, f"small {number}.txt", b"%d. " % number + TEXT)
        assert worker.run_next()
        assert job_of(database, GLOBEX, others).stage == JobStage.INDEXING
        order.append(job_of(database, ACME, small).stage == JobStage.INDEXING)
    assert order == [True, True, True, False]
    assert job_of(database, ACME, oldest).stage == JobStage.INDEXING
    assert {job_of(database, ACME, one).stage for one in load} == {JobStage.STORED}


def test_who_uploads_while_others_are_read_is_served_in_the_same_round(
    database: Database, library: Library, document_files: DocumentFiles
) -> None:
    class UploadsMeanwhile:
        """A scanner during whose first look another tenant uploads."""

        theirs: str | None = None

        def scan(self, data: bytes) -> None:
            self.theirs = self.theirs or take(library, GLOBEX)

    for number in range(2):
        take(library, ACME, f"{number}.txt", b"%d. " % number + TEXT)
    scanner = UploadsMeanwhile()
    with job_worker(database, document_files, malware=MalwareCheck(scanner)) as worker:
        assert worker.run_next()
    assert scanner.theirs is not None
    assert job_of(database, GLOBEX, scanner.theirs).stage == JobStage.INDEXING
    with database.open_read_session() as session:
        assert count_everywhere(session, Job, Job.stage == JobStage.STORED) == 1


def test_while_large_files_are_read_a_worker_is_left_for_small_ones(
    database: Database, library: Library, document_files: DocumentFiles
) -> None:
    large = [take(library, ctx, "long.txt", b"A word and another. " * 100_000) for ctx in (ACME, GLOBEX)]
    with (
        job_worker(database, document_files, large_at_once=1) as first,
        job_worker(database, document_files, large_at_once=1) as second,
    ):
        working = threading.Thread(target=first.run_next)
        working.start()
        wait_until(lambda: job_of(database, ACME, large[0]).status == JobStatus.PROCESSING)
        small = take(library, ACME)
        assert second.run_next()
        assert not second.run_next()
        assert job_of(database, ACME, small).stage == JobStage.INDEXING
        assert job_of(database, ACME, large[0]).stage == JobStage.READING
        assert job_of(database, GLOBEX, large[1]).stage == JobStage.STORED
        working.join(60)
    assert {job_of(database, ctx, one).stage for ctx, one in zip((ACME, GLOBEX), large, strict=True)} == {
        JobStage.INDEXING
    }


def test_machines_whose_names_begin_alike_count_their_own_large_files(
    database: Database, library: Library, document_files: DocumentFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = [take(library, ctx, "long.txt", b"A word and another. " * 100_000) for ctx in (ACME, GLOBEX)]
    monkeypatch.setattr(socket, "gethostname", lambda: "pustaka-worker-7c9f8d6b4f-x2x4p")
    with job_worker(database, document_files, large_at_once=1, pool_pid=1) as first:
        monkeypatch.setattr(socket, "gethostname", lambda: "pustaka-worker-7c9f8d6b4f-q8b7k")
        with job_worker(database, document_files, large_at_once=1, pool_pid=1) as second:
            working = threading.Thread(target=first.run_next)
            working.start()
            wait_until(lambda: job_of(database, ACME, large[0]).status == JobStatus.PROCESSING)
            assert second.run_next()
            assert job_of(database, GLOBEX, large[1]).stage == JobStage.INDEXING
            working.join(60)


def test_scanned_pages_are_recognised_after_the_text_of_the_others_can_be_found(
    database: Database, library: Library, document_files: DocumentFiles, worker: JobWorker
) -> None:
    data = joined(pdf(["The office opens at nine."]), pictures(["The library closes at ten"], kind="PDF"))
    document_id = take(library, ACME, "mixed.pdf", data)
    with job_worker(database, document_files) as first:
        working = threading.Thread(target=first.run_next)
        working.start()
        wait_until(lambda: job_of(database, ACME, document_id).stage not in (JobStage.STORED, JobStage.READING))
        first.stop()  # in the middle of it, most likely: another worker goes on at this stage
        working.join(60)
    with database.open_read_session() as session:
        assert "nine" in get_chunks(session, ACME, document_id)[0].text
    worker.run_next()
    assert job_of(database, ACME, document_id).stage == JobStage.INDEXING
    with database.open_read_session() as session:
        assert "library closes" in " ".join(chunk.text for chunk in get_chunks(session, ACME, document_id))
        assert get_progress(session, ACME, document_id).document.details["unread_pages"] == []


def test_a_scan_of_many_pages_gives_way_to_others_and_goes_on_where_it_stopped(
    database: Database, library: Library, document_files: DocumentFiles
) -> None:
    said = ["The library closes at ten", "The warden has a dog", "Bicycles stand behind it"]
    scan = take(library, ACME, "scan.pdf", pictures(*([line] for line in said), kind="PDF"))
    with job_worker(database, document_files, slice_s=0) as worker:
        worker.run_next()
        for done in (1, 2):
            with job_worker(database, document_files, slice_s=0) as another:
                assert another.run_next()
            job = job_of(database, ACME, scan)
            assert (job.status, job.stage, job.attempts) == (JobStatus.PENDING, JobStage.RECOGNISING, 0)
            assert list(Recognition.from_json(recognised(database, scan) or "").texts) == list(range(1, done + 1))
            ours, theirs = (take(library, ctx, f"{done}.txt", b"%d. " % done + TEXT) for ctx in (ACME, GLOBEX))
            assert worker.run_next()
            assert job_of(database, ACME, ours).stage == job_of(database, GLOBEX, theirs).stage == JobStage.INDEXING
            assert job_of(database, ACME, scan).progress == pytest.approx(done / 3)
        assert worker.run_next()
    assert job_of(database, ACME, scan).stage == JobStage.INDEXING
    assert recognised(database, scan) is None
    with database.open_read_session() as session:
        text = " ".join(chunk.text for chunk in get_chunks(session, ACME, scan))
    assert [line for line in said if line not in text] == []


def test_a_page_that_cannot_be_read_is_not_tried_again_in_the_next_slice(
    database: Database, library: Library, document_files: DocumentFiles, caplog: pytest.LogCaptureFixture
) -> None:
    pages = [["The library closes at ten"], ["The warden has a dog"]]
    scan = take(library, ACME, "scan.pdf", pictures(*pages, kind="PDF"))
    with job_worker(database, document_files, slice_s=0, limits=Limits(page_timeout_s=0.001)) as worker:
        while job_of(database, ACME, scan).status in OPEN:
            assert worker.run_next()
    assert job_of(database, ACME, scan).status == JobStatus.FAILED
    assert recognised(database, scan) is None
    assert [text.split(" of ")[0] for text in caplog.messages if "could not be recognised" in text] == [
        "Page 1",
        "Page 2",
    ]


def recognised(database: Database, document_id: str) -> str | None:
    """The pages of a document of ACME that are kept for the next slice."""
    with database.open_read_session() as session:
        return session.scalar(scoped(ACME, Job).where(Job.document_id == document_id).with_only_columns(Job.recognised))


def test_a_scan_has_nothing_to_be_found_until_it_is_recognised(
    database: Database, library: Library, worker: JobWorker
) -> None:
    document_id = take(library, ACME, "scan.png", picture("The library closes at ten"))
    worker.run_next()
    assert job_of(database, ACME, document_id).stage == JobStage.RECOGNISING
    worker.run_next()
    with database.open_read_session() as session:
        [chunk] = get_chunks(session, ACME, document_id)
        assert "closes at ten" in chunk.text
        assert get_progress(session, ACME, document_id).document.version == 1


def test_documents_beyond_the_pages_of_a_day_wait_and_say_why_while_other_tenants_go_on(
    database: Database, library: Library, document_files: DocumentFiles
) -> None:
    first, second = (take(library, ACME, name, b"%d." % place + TEXT) for place, name in enumerate(("a.txt", "b.txt")))
    with job_worker(database, document_files, quotas=replace(UNLIMITED, pages_per_day=1)) as worker:
        while worker.run_next():
            pass
        theirs = take(library, GLOBEX)
        assert worker.run_next()
    assert [job_of(database, ACME, one).stage for one in (first, second)] == [JobStage.INDEXING, JobStage.STORED]
    waiting = job_of(database, ACME, second)
    assert (waiting.status, waiting.error) == (
        JobStatus.PENDING,
        f"This tenant may have 1 pages read a day, and has had 1 today. {from_next_day()}",
    )
    assert job_of(database, GLOBEX, theirs).stage == JobStage.INDEXING
    let_pause_be_over(database, ACME)
    with job_worker(database, document_files, quotas=replace(UNLIMITED, pages_per_day=2)) as worker:
        assert worker.run_next()
    job = job_of(database, ACME, second)
    assert (job.stage, job.error, job.advice) == (JobStage.INDEXING, None, None)


def from_next_day() -> str:
    return f"More are read from {find_next_day():%Y-%m-%d %H:%M} UTC on."


def test_files_that_cannot_be_read_use_up_pages_too(
    database: Database, library: Library, document_files: DocumentFiles
) -> None:
    take(library, ACME, "broken.pdf", b"%PDF-1.7 and nothing more")
    with job_worker(database, document_files) as worker:
        assert worker.run_next()
    with database.open_read_session() as session:
        assert get_usage(session, ACME).pages_today == 1


def test_a_file_that_is_refused_by_a_quota_is_not_kept(
    database: Database, document_files: DocumentFiles, files: FolderFileStore
) -> None:
    library = Library(database, document_files, replace(UNLIMITED, size_bytes=len(TEXT)))
    document_id = take(library, ACME)
    with pytest.raises(QuotaExceeded):
        take(library, ACME, "other.txt", b"something else")
    take(library, GLOBEX)
    assert len(kept(files, ACME)) == len(kept(files, GLOBEX)) == 1
    assert job_of(database, ACME, document_id).status == JobStatus.PENDING


def test_no_file_stays_of_uploads_whose_place_another_upload_has_taken(
    library: Library, files: FolderFileStore, worker: JobWorker
) -> None:
    for number in range(15):
        document_id = take(library, ACME, data=TEXT + b"%d" % number)
        take(library, GLOBEX, "b.txt", TEXT + b"%d" % number)
        take(library, GLOBEX, "c.txt", TEXT)
    assert (len(kept(files, ACME)), len(kept(files, GLOBEX))) == (1, 2)
    while worker.run_next():
        pass
    assert (len(kept(files, ACME)), len(kept(files, GLOBEX))) == (2, 4)  # and the text that was read from each
    library.remove_document(ACME, document_id)
    assert (len(kept(files, ACME)), len(kept(files, GLOBEX))) == (0, 4)


def test_a_file_stays_while_a_version_is_of_it_whose_place_an_upload_has_taken(
    library: Library, files: FolderFileStore, worker: JobWorker
) -> None:
    take(library, ACME)
    worker.run_next()
    take(library, ACME, data=b"Nobody lives there now.")
    assert hashlib.sha256(TEXT).hexdigest() in kept(files, ACME)


@pytest.mark.parametrize(("table", "left"), [("jobs", 0), ("document_versions", 1)])
def test_no_file_stays_of_what_the_database_does_not_take(
    table: str, left: int, database: Database, library: Library, files: FolderFileStore, worker: JobWorker
) -> None:
    take(library, GLOBEX)
    refuse(database, table, ACME)
    with suppress(SQLAlchemyError):
        take(library, ACME)
    while worker.run_next():
        pass
    assert (len(kept(files, ACME)), len(kept(files, GLOBEX))) == (left, 2)


def test_a_file_that_cannot_be_read_fails_at_once_and_the_next_is_read(
    database: Database, library: Library, worker: JobWorker
) -> None:
    broken = take(library, ACME, "broken.pdf", b"%PDF-1.7 and nothing more")
    whole = take(library, ACME)
    while worker.run_next():
        pass
    job = job_of(database, ACME, broken)
    assert (job.status, job.attempts) == (JobStatus.FAILED, 1)
    assert job.error
    assert "upload" in (job.advice or "")
    assert job_of(database, ACME, whole).stage == JobStage.INDEXING


def test_a_file_that_is_gone_fails_with_what_to_do(
    database: Database, library: Library, files: FolderFileStore, worker: JobWorker
) -> None:
    document_id = take(library, ACME)
    for name in kept(files, ACME):
        files.delete(ACME, name)
    worker.run_next()
    job = job_of(database, ACME, document_id)
    assert (job.status, job.advice) == (JobStatus.FAILED, "Upload it again.")


def test_a_store_that_is_away_puts_a_document_off_until_it_is_back(
    database: Database, library: Library, worker: JobWorker, tmp_path: Path
) -> None:
    document_id = take(library, ACME)
    (tmp_path / "files").rename(tmp_path / "elsewhere")
    (tmp_path / "files").write_text("no folder")
    worker.run_next()
    job = job_of(database, ACME, document_id)
    assert (job.status, job.attempts) == (JobStatus.PENDING, 1)
    assert "DATA_DIR" in (job.error or "")
    (tmp_path / "files").unlink()
    (tmp_path / "elsewhere").rename(tmp_path / "files")
    let_pause_be_over(database, ACME)
    worker.run_next()
    job = job_of(database, ACME, document_id)
    assert (job.stage, job.attempts) == (JobStage.INDEXING, 1)


def test_a_job_that_a_dead_worker_had_is_brought_on_by_another(
    database: Database, library: Library, document_files: DocumentFiles, worker: JobWorker
) -> None:
    document_id = take(library, ACME)
    with database.open_write_session() as session:
        assert jobs.claim(session, ACME, worker="dead")
    assert not worker.run_next()
    let_lease_run_out(database, ACME)
    tidy(database, ACME)
    let_pause_be_over(database, ACME)
    assert worker.run_next()
    with database.open_read_session() as session:
        assert len(get_chunks(session, ACME, document_id)) == 1
        assert count_everywhere(session, Job, Job.document_id == document_id) == 1


def test_a_file_is_left_to_the_worker_that_has_its_job_now_whatever_was_found_in_it(
    database: Database, library: Library, document_files: DocumentFiles, files: FolderFileStore
) -> None:
    document_id = take(library, ACME, data=EICAR)

    class SlowScanner:
        """Takes so long that another worker has the job meanwhile."""

        def scan(self, data: bytes) -> str:
            let_lease_run_out(database, ACME)
            tidy(database, ACME)
            let_pause_be_over(database, ACME)
            with database.open_write_session() as session:
                assert jobs.claim(session, ACME, worker="another")
            return SIGNATURE

    with job_worker(database, document_files, malware=MalwareCheck(SlowScanner())) as slow:
        assert slow.run_next()
    assert kept(files, ACME) == {hashlib.sha256(EICAR).hexdigest()}
    assert job_of(database, ACME, document_id).status == JobStatus.PROCESSING


def test_a_worker_that_is_told_to_stop_gives_its_document_to_another_in_the_middle(
    database: Database, library: Library, document_files: DocumentFiles, worker: JobWorker
) -> None:
    document_id = take(library, ACME, "long.txt", b"A word and another. " * 100_000)
    with job_worker(database, document_files) as first:
        working = threading.Thread(target=first.run_next)
        working.start()
        wait_until(lambda: job_of(database, ACME, document_id).status == JobStatus.PROCESSING)
        first.stop()
        working.join(30)
        assert not first.run_next()
    job = job_of(database, ACME, document_id)
    assert job.status == JobStatus.PENDING or job.stage == JobStage.INDEXING
    worker.run_next()
    assert job_of(database, ACME, document_id).stage == JobStage.INDEXING


def test_a_document_is_cancelled_while_it_is_read_and_the_worker_reads_on_with_others(
    database: Database, library: Library, document_files: DocumentFiles
) -> None:
    document_id = take(library, ACME, "long.txt", b"A word and another. " * 100_000)
    with job_worker(database, document_files, lease_s=0.2) as worker:
        working = threading.Thread(target=worker.run_next)
        working.start()
        wait_until(lambda: job_of(database, ACME, document_id).status == JobStatus.PROCESSING)
        with database.open_write_session() as session:
            cancel(session, ACME, document_id)
        working.join(30)
        assert job_of(database, ACME, document_id).status == JobStatus.CANCELLED
        other = take(library, ACME)
        worker.run_next()
    assert job_of(database, ACME, other).stage == JobStage.INDEXING


def test_files_stay_as_long_as_a_version_or_a_job_names_them(
    database: Database, library: Library, document_files: DocumentFiles, files: FolderFileStore, worker: JobWorker
) -> None:
    ours, _ = take(library, ACME), take(library, GLOBEX)
    document_files.tidy()
    assert len(kept(files, ACME)) == 1  # not read yet: the job alone names it
    worker.run_next()
    document_files.tidy()
    assert len(kept(files, ACME)) == 2  # and what was read from it
    twin = library.take(ACME, new_dataset(database, ACME), "twin.txt", TEXT).document.document_id
    library.remove_document(ACME, ours)
    assert len(kept(files, ACME)) == 1
    library.remove_document(ACME, twin)
    assert kept(files, ACME) == set()
    assert len(kept(files, GLOBEX)) == 2
    library.remove_dataset(GLOBEX, library.get_loaded_dataset(GLOBEX))
    assert kept(files, GLOBEX) == set()


def wait_until(condition: Callable[[], bool]) -> None:
    """Until *condition()* holds, half a minute at most."""
    over = threading.Event()
    for _ in range(3000):
        if condition():
            return
        over.wait(0.01)
    raise AssertionError("it did not come to be")


def test_a_job_is_gone_on_with_only_while_whoever_asked_for_it_may(
    database: Database, library: Library, worker: JobWorker
) -> None:
    asked: dict[str, tuple[Principal, str]] = {}
    for name, tenant in (("revoked", "acme"), ("narrowed", "acme"), ("valid", "acme"), ("elsewhere", "globex")):
        with database.open_write_session() as session:
            key, _ = create_key(session, tenant, name, scopes=["documents:write"])
        ctx = make_key_principal(tenant, key.key_id, frozenset({Scope.DOCUMENTS_WRITE}))
        asked[name] = ctx, take(library, ctx, f"{name}.txt", TEXT + name.encode())
        with database.open_write_session() as session:
            held = jobs.claim(session, ctx, worker="killed")
            assert held is not None
            assert held.requester == ctx
    for operator in (ACME, GLOBEX):
        let_lease_run_out(database, operator)
        tidy(database, operator)
        let_pause_be_over(database, operator)
    with database.open_write_session() as session:
        revoke_key(session, ACME, asked["revoked"][0].subject_id)
        narrowed = scoped_update(ACME, ApiKey).where(ApiKey.key_id == asked["narrowed"][0].subject_id)
        session.execute(narrowed.values(scopes=["documents:read"]))
    while worker.run_next():
        pass
    found = {name: job_of(database, ctx, document_id) for name, (ctx, document_id) in asked.items()}
    assert {name: job.status for name, job in found.items()} == {
        "revoked": "failed", "narrowed": "failed", "valid": "processing", "elsewhere": "processing",
    }  # fmt: skip
    assert found["revoked"].error is not None
    assert "was revoked or has expired, so the work was stopped" in found["revoked"].error
    assert found["narrowed"].error is not None
    assert "no longer has the scope documents:write" in found["narrowed"].error
    assert {found[name].advice for name in ("revoked", "narrowed")} == {
        "Process it again, or upload it again, with a key that may write documents."
    }
    ctx, document_id = asked["valid"][0], asked["revoked"][1]
    library.read_again(ctx, document_id)
    assert worker.run_next()
    assert job_of(database, ACME, document_id).stage == JobStage.INDEXING


def test_a_job_that_1_0_0_stored_is_gone_on_with(database: Database, library: Library, worker: JobWorker) -> None:
    for ctx in (ACME, GLOBEX):
        document_id = take(library, make_key_principal(ctx.tenant_id, "n0such00"))
        with database.open_write_session() as session:
            of_1_0_0 = scoped_update(ctx, Job).where(Job.document_id == document_id)
            session.execute(of_1_0_0.values(subject_id=None, subject_kind=None))
        assert worker.run_next()
        assert job_of(database, ctx, document_id).stage == JobStage.INDEXING
