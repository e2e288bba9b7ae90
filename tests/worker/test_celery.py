"""Workers under Celery: woken by Redis, killed with all their processes, and nothing is lost."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text

from config import load_settings
from domain.db import Database
from domain.document_files import DocumentFiles
from domain.documents import get_chunks
from domain.models import Job, JobStage
from domain.quotas import UNLIMITED
from domain.scoping import scoped
from ingestion.library import Library
from providers.files.folder import FolderFileStore
from tests.domain.records import ACME, GLOBEX, two_tenants
from tests.domain.uploaded import new_dataset
from tests.faults.loads import CeleryWorker, wait
from tests.security.inspection import can_be_inspected
from tests.servers.redis import RedisServer
from tests.service import ROOT, Service, plain_environment
from utils.processes import StartError
from worker.tasks import make_app

TRIES_AGAIN = "Trying again in"


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    (tmp_path / "data").mkdir()
    database = two_tenants(f"sqlite:///{tmp_path / 'data' / 'pustaka.db'}")
    yield database
    database.close()


@pytest.fixture
def library(database: Database, tmp_path: Path) -> Library:
    return Library(database, DocumentFiles(database, FolderFileStore(tmp_path / "data" / "files")), UNLIMITED)


def stages(database: Database) -> list[str]:
    with database.open_read_session() as session:
        return [job.stage for ctx in (ACME, GLOBEX) for job in session.scalars(scoped(ctx, Job))]


@pytest.mark.first
@pytest.mark.long
def test_workers_that_are_killed_are_followed_by_others_that_read_every_document_once(
    database: Database, library: Library, tmp_path: Path
) -> None:
    taken = []
    for number in range(6):
        ctx = (ACME, GLOBEX)[number % 2]
        dataset_id = new_dataset(database, ctx, f"Handbook {number}")
        said = f"This is rule {number}. ".encode() * 3000
        taken.append((ctx, library.take(ctx, dataset_id, f"{number}.txt", said).document.document_id))
    with RedisServer(tmp_path / "redis") as redis:
        variables = {"DATA_DIR": str(tmp_path / "data"), "REDIS_URL": redis.url, "INGESTION_LEASE": "2"}
        worker = CeleryWorker(tmp_path, variables).start()
        try:
            assert wait(lambda: JobStage.READING in stages(database), 60), worker.logged()
            worker.kill()
            worker.start()
            assert wait(lambda: set(stages(database)) == {JobStage.INDEXING}, 90), worker.logged()
            assert not any(can_be_inspected(pid) for pid in worker.processes())
            assert worker.stop() == 0
        finally:
            worker.kill()
    for ctx, document_id in taken:
        with database.open_read_session() as session:
            assert get_chunks(session, ctx, document_id)


@pytest.mark.long
def test_a_worker_that_starts_before_the_tables_waits_says_so_once_and_then_works(tmp_path: Path) -> None:
    with RedisServer(tmp_path / "redis") as redis:
        variables = {"DATA_DIR": str(tmp_path / "data"), "REDIS_URL": redis.url}
        worker = CeleryWorker(tmp_path, variables, concurrency=3).start()
        try:
            assert wait(lambda: "Waiting until" in worker.logged(), 60), worker.logged()
            (tmp_path / "data").mkdir(exist_ok=True)
            with closing(two_tenants(f"sqlite:///{tmp_path / 'data' / 'pustaka.db'}")) as database:
                files = DocumentFiles(database, FolderFileStore(tmp_path / "data" / "files"))
                library = Library(database, files, UNLIMITED)
                for ctx in (ACME, GLOBEX):
                    library.take(ctx, new_dataset(database, ctx), "rule.txt", b"This is a rule.")
                assert wait(lambda: stages(database) == [JobStage.INDEXING] * 2, 90), worker.logged()
            lines = [json.loads(line) for line in worker.logged().splitlines() if line.startswith("{")]
            told = [line for line in lines if "Waiting until" in line["message"]]
            assert len({line["message"] for line in told}) == len(told)
            assert not [line for line in lines if line["level"] in ("ERROR", "CRITICAL")]
        finally:
            worker.kill()


@pytest.mark.long
def test_workers_go_on_quietly_when_the_tables_are_gone_for_a_while(
    database: Database, library: Library, tmp_path: Path
) -> None:
    with RedisServer(tmp_path / "redis") as redis:
        worker = CeleryWorker(tmp_path, {"DATA_DIR": str(tmp_path / "data"), "REDIS_URL": redis.url}).start()
        try:
            library.take(ACME, new_dataset(database, ACME), "rule.txt", b"This is a rule.")
            assert wait(lambda: stages(database) == [JobStage.INDEXING], 90), worker.logged()
            with database.engine.begin() as connection:
                connection.execute(text("ALTER TABLE jobs RENAME TO jobs_elsewhere"))
            assert wait(lambda: "Documents wait until then" in worker.logged(), 60), worker.logged()
            with database.engine.begin() as connection:
                connection.execute(text("ALTER TABLE jobs_elsewhere RENAME TO jobs"))
            library.take(GLOBEX, new_dataset(database, GLOBEX), "rule.txt", b"This is a rule.")
            assert wait(lambda: stages(database) == [JobStage.INDEXING] * 2, 90), worker.logged()
        finally:
            worker.kill()
    assert '"level": "ERROR"' not in worker.logged()


@pytest.mark.long
@pytest.mark.soak
@pytest.mark.parametrize(("restarts", "tries"), [(8, 0), (4, 2)], ids=["at once", "after a while"])
def test_workers_go_on_each_time_after_the_redis_that_wakes_them_was_restarted(
    database: Database, library: Library, tmp_path: Path, restarts: int, tries: int
) -> None:
    # Workers of Celery 5.6 were reported to consume nothing after it: https://github.com/celery/celery/issues/10302
    with RedisServer(tmp_path / "redis") as redis:
        worker = CeleryWorker(tmp_path, {"DATA_DIR": str(tmp_path / "data"), "REDIS_URL": redis.url}).start()
        try:
            for number in range(restarts + 1):
                if number:
                    (redis.stop, redis.kill)[number % 2]()
                for ctx in (ACME, GLOBEX):
                    dataset_id = new_dataset(database, ctx, f"Rules {number}")
                    library.take(ctx, dataset_id, "rule.txt", f"This is rule {number}.".encode())
                tried = number * tries
                assert wait(lambda tried=tried: worker.logged().count(TRIES_AGAIN) >= tried, 60), worker.logged()
                redis.start()
                expected = [JobStage.INDEXING] * 2 * (number + 1)
                assert wait(lambda expected=expected: stages(database) == expected, 120), worker.logged()
            assert worker.stop() == 0
        finally:
            worker.kill()
    assert worker.logged().count("Couldn't apply scheduled task") <= restarts, "it is said once, not every second"
    assert "CPendingDeprecationWarning" not in worker.logged()
    assert "/100)" not in worker.logged(), "it would give up after an hour"


@pytest.mark.parametrize(
    ("variables", "broker"),
    [
        ({"redis_url": "redis://:secret@stores:6379/1"}, "redis://:secret@stores:6379/1"),
        ({"redis_host": "stores", "redis_tls": True}, "rediss://stores:6379/0"),
        ({"redis_url": "unix:///run/redis.sock"}, "redis+socket:///run/redis.sock"),
        ({"redis_url": "redis+cluster://a:1,b:2", "celery_broker_url": "redis://queue:6379"}, "redis://queue:6379"),
    ],
)
def test_workers_are_woken_by_the_redis_of_the_service_unless_they_have_their_own(
    variables: dict[str, object], broker: str
) -> None:
    app = make_app(load_settings(_env_file=None, **variables))
    assert app.conf.broker_url == broker
    assert (app.conf.broker_use_ssl is not None) == broker.startswith("rediss")


def test_a_worker_hashes_ids_in_its_logs_as_the_service_does(tmp_path: Path) -> None:
    service = Service(tmp_path / "data")
    code = "import worker.celery; from utils.log_ids import hash_id; print(hash_id('visitor-42'))"
    environment = plain_environment({"DATA_DIR": str(tmp_path / "data"), "REDIS_URL": "redis://127.0.0.1:1"})
    told = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=ROOT, capture_output=True, text=True, timeout=120, check=True
    )
    assert told.stdout == service.flask("log-id", "visitor-42").stdout


@pytest.mark.parametrize(
    ("variables", "named"), [({}, "REDIS_URL"), ({"redis_url": "redis+cluster://a:1,b:2"}, "CELERY_BROKER_URL")]
)
def test_without_a_redis_that_can_wake_them_workers_do_not_start_and_say_why(
    variables: dict[str, object], named: str
) -> None:
    with pytest.raises(StartError, match=f"^{named}"):
        make_app(load_settings(_env_file=None, **variables))
