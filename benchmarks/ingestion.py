"""A load of documents while its workers are killed at each stage; what is left of it, before and after its deletion.

    python -m benchmarks.ingestion --documents 200 --kills 10 --mode embedded
    python -m benchmarks.ingestion --documents 200 --kills 10 --mode celery

Claims: within 60 s of the last kill every document comes to its end, completed or failed with a reason; none that was
acknowledged is lost, none is there twice, in SQL as in the index; and after the dataset is deleted a scan of SQL, files
and index finds nothing of it. Exit code 1 where one does not hold.

embedded: the whole service is killed, with its index; celery: the workers beside it, with all their processes.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import func

from domain.db import Database
from domain.models import Chunk
from domain.scoping import select_everywhere
from tests.faults import loads
from tests.faults.loads import CeleryWorker, Load, Victim, WholeService
from tests.servers.redis import RedisServer
from tests.service import Service

LIMIT_S = 60.0
_PATIENCE_S = 600.0


@contextmanager
def stage(folder: Path, mode: str) -> Iterator[tuple[Service, Victim]]:
    """A service without documents, and what is to be killed."""
    (folder / "nothing").mkdir()
    variables = {"RATE_LIMIT_ENABLED": "false", "KNOWLEDGE_DIR": str(folder / "nothing")}
    with ExitStack() as stack:
        if mode == "celery":
            redis = stack.enter_context(RedisServer(folder / "redis"))
            variables |= {"REDIS_URL": redis.url, "INGESTION_WORKERS": "0"}
        service = stack.enter_context(Service(folder / "data", **variables))
        if mode == "embedded":
            yield service, WholeService(service)
            return
        worker = CeleryWorker(folder, service.variables).start()
        stack.callback(worker.kill)
        yield service, worker


def measure(folder: Path, *, mode: str, documents: int, kills: int) -> dict[str, Any]:
    """Load, kill, wait, look, delete, and look again."""
    with stage(folder, mode) as (service, victim), loads.records_of(service) as database:
        load = Load(service, service.new_key(loads.OWNER.tenant_id), loads.make_documents(documents))
        uploading = load.begin()
        done, killed_s = loads.kill_at_stages(database, victim, kills)
        loads.await_end(load, uploading, _PATIENCE_S)
        end_s = time.monotonic() - killed_s
        faults = loads.faults(load)
        service.stop()
        chunks, points = _chunks(database), asyncio.run(loads.indexed(service))
        if chunks != points:
            faults.append(f"SQL holds {chunks} passages, the index {points}")
        service.start()
        with load.client() as client:
            client.delete(load.dataset).raise_for_status()
        loads.wait(lambda: not loads.held_rows(database), LIMIT_S)
        service.stop()
        left = {**loads.held_rows(database), "files": loads.held_files(service)}
        left["passages"] = asyncio.run(loads.indexed(service))
    return {
        "mode": mode,
        "documents": documents,
        "kills": dict(done),
        "uploads sent": load.tries,
        "acknowledged": len(load.acknowledged),
        "passages": chunks,
        "seconds from the last kill to the end": round(end_s, 1),
        "faults": faults,
        "left after the deletion": {name: count for name, count in left.items() if count},
    }


def main() -> int:
    """Run it and print what was found; 1 if a claim does not hold."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--documents", type=int, default=200)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--mode", choices=("embedded", "celery"), default="embedded")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder), mode=chosen.mode, documents=chosen.documents, kills=chosen.kills)
    print(json.dumps(found, indent=2))
    late = found["seconds from the last kill to the end"] > LIMIT_S
    return 1 if late or found["faults"] or found["left after the deletion"] else 0


def _chunks(database: Database) -> int:
    with database.open_read_session() as session:
        return session.scalar(select_everywhere(Chunk).with_only_columns(func.count(Chunk.tenant_id))) or 0


if __name__ == "__main__":
    sys.exit(main())
