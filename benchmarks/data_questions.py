"""What a question to a data source takes without its model's time, and what the process that draws charts fills.

    python -m benchmarks.data_questions

Two gunicorn workers on Debian's Redis, PostgreSQL for the records and a fake Qdrant server, with the embedding model
that comes along; the sample database as an SQLite file of one tenant and in PostgreSQL of another one. Visitors ask how
many machines are due this month, by rules and with a fake model that answers at once: it decides, writes the query and
writes the answer. The peer is a question about the one document, on the same service. Claimed: no answer is wrong; a
data question by rules takes at most twice the CPU of the peer, in all processes, also 20 at once; of the memory that
drawing takes, nothing stays, and hostile specs that are small enough to be drawn stay below the limit. Exit code 1
where one does not hold. Without --save nothing is kept. Three minutes.
"""

import argparse
import asyncio
import base64
import json
import os
import signal
import sqlite3
import sys
import tempfile
import time
from calendar import monthrange
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import psycopg
import uvloop

from benchmarks.chart_memory import measure_charts
from benchmarks.machine import cpu_s, describe_machine, process_tree
from benchmarks.processes import ROOT, free_ports, start, wait_until_ready
from benchmarks.stage import configure_model
from benchmarks.visitors import client, percentile
from datasources.sample_maintenance import DUE_THIS_MONTH, load_tables, write_database
from tests.gunicorn_service import GunicornService
from tests.servers.postgres import PostgresServer
from tests.servers.redis import RedisServer
from tests.service import await_knowledge, one_document
from utils.processes import Child
from utils.validity import today

WORKERS, MAX_TIMES_PEER = 2, 2.0
LOADS = {1: 60, 20: 200}  # questions by how many are asked at once
DUE, RENT = "How many machines are due for maintenance this month?", "How much does a dormitory room cost?"
RESULTS = ROOT / "benchmarks" / "results" / "data_questions.json"
_READER = "reader"


@dataclass(frozen=True, slots=True)
class Case:
    """Who asks what: `data_source` is "sqlite" or "postgresql", "" for the question about the document."""

    data_source: str
    key: str
    bot_id: str

    @property
    def question(self) -> str:
        """What is asked."""
        return DUE if self.data_source else RENT

    def is_right(self, answer: Mapping[str, Any]) -> bool:
        """Whether *answer* is the one that there is."""
        if self.data_source:
            return bool(answer["data"]) and answer["data"]["rows"] == [[DUE_THIS_MONTH]] and answer["answered"]
        return bool(answer["answered"]) and "850,000" in answer["answer"]


@dataclass(frozen=True, slots=True)
class Site:
    """The service, and the processes whose time is counted, by name."""

    service: GunicornService
    stores: Mapping[str, int]

    def spent_s(self) -> dict[str, float]:
        """Seconds of processor time so far."""
        trees = {"service": self.service.process.pid, **self.stores}
        return {name: cpu_s(process_tree(pid)) for name, pid in trees.items()}


@contextmanager
def running(folder: Path, postgres: PostgresServer, **model: str) -> Iterator[Site]:
    """The service, with the sample database of today for two tenants; *model* are its variables for one."""
    (folder / "redis").mkdir(parents=True)
    children = list[Child]()
    with ExitStack() as stack:
        redis = stack.enter_context(RedisServer(folder / "redis"))
        [port] = free_ports(1)
        start(children, folder, "qdrant", ["-m", "tests.fakes.qdrant_server", "--port", str(port), "--remembers"])
        stack.callback(children[0].stop, 20)
        wait_until_ready(children[0], f"http://127.0.0.1:{port}/collections", 30)
        (folder / "sources" / "acme").mkdir(parents=True)
        write_database(folder / "sources" / "acme" / "plant.db", today())
        variables = {
            "WORKERS": str(WORKERS),
            "REDIS_URL": redis.url,
            "DATABASE_URI": postgres.new_database(),
            "QDRANT_URL": f"http://127.0.0.1:{port}",
            "STATE_ENCRYPTION_KEYS": f"first:{base64.b64encode(os.urandom(32)).decode()}",
            "DATA_SOURCE_DIR": str(folder / "sources"),
            "DATA_SOURCE_NETWORKS": "127.0.0.1",
            "LOG_LEVEL": "WARNING",
            **one_document(folder),
            **model,
        }
        service = GunicornService(folder / "data", **variables)  # type: ignore[arg-type]  # none is named like an argument
        stack.callback(lambda: service.is_running and service.stop())  # also where it did not become ready
        service.start()
        await_knowledge(service, RENT)
        redis_pid = int(redis.client.info("server")["process_id"])
        yield Site(service, {"redis": redis_pid, "qdrant": children[0].pid, "postgres": find_postmaster(postgres)})


def find_postmaster(postgres: PostgresServer) -> int:
    """The process that starts one for each connection."""
    with psycopg.connect(postgres.url) as connection:
        backend = connection.info.backend_pid
        return int(Path(f"/proc/{backend}/stat").read_text().rpartition(")")[2].split()[1])


def copy_to_postgres(file: Path, postgres: PostgresServer) -> str:
    """The tables and rows of the SQLite *file* in a new database, and its address for a role that reads alone."""
    url = postgres.new_database()
    with closing(sqlite3.connect(file)) as source, psycopg.connect(url, autocommit=True) as target:
        own = "SELECT name, sql FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%' ORDER BY rootpage"
        made = source.execute(own).fetchall()
        for name, sql in made:
            target.execute(sql.replace("DATETIME", "TIMESTAMP").encode())
            rows = source.execute(f"SELECT * FROM {name}").fetchall()  # noqa: S608 - names of ours
            marks = ", ".join(["%s"] * len(rows[0]))
            target.cursor().executemany(f"INSERT INTO {name} VALUES ({marks})".encode(), rows)  # noqa: S608 - as above
        target.execute(f"CREATE ROLE {_READER} LOGIN PASSWORD '{_READER}'".encode())
        target.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {_READER}".encode())
    return f"{postgres.url_of(url.rpartition('/')[2], user=_READER, password=_READER)}?sslmode=disable"


def add_source(site: Site, tenant: str, kind: str, uri: str) -> Case:
    """A bot of *tenant* that answers from the database at *uri*."""
    key = site.service.new_key(tenant, ["all"])
    with site.service.client(key) as http:
        body = {"name": "Maintenance", "type": kind, "uri": uri}
        made = http.post("/v1/tenant/data-sources", json=body).raise_for_status().json()
        path = f"/v1/tenant/data-sources/{made['id']}"
        http.post(f"{path}/schema").raise_for_status()
        http.patch(path, json={"allowed_tables": load_tables()}).raise_for_status()
        bot = {"id": "plant", "name": "Plant", "tools": ["query_data"]}
        http.post("/v1/tenant/bots", json=bot).raise_for_status()
    return Case(kind, key, "plant")


async def ask_all(url: str, case: Case, count: int, at_once: int) -> tuple[list[float], list[str]]:
    """Milliseconds of each of *count* questions, *at_once* of them at a time, and what was wrong with some."""
    lasted, wrong, left = list[float](), list[str](), iter(range(count))

    async def visit(http: aiohttp.ClientSession) -> None:
        for _ in left:
            began = time.perf_counter()
            body = {"message": case.question, "session_id": f"bench-{uuid4().hex}", "bot_id": case.bot_id}
            async with http.post(f"{url}/v1/chat", json=body, headers={"X-API-Key": case.key}) as reply:
                answer = await reply.json(content_type=None)
            lasted.append((time.perf_counter() - began) * 1000)
            if reply.status != 200 or not case.is_right(answer):
                wrong.append(f"{reply.status}: {str(answer)[:200]}")

    async with client() as http:
        await asyncio.gather(*(visit(http) for _ in range(at_once)))
    return lasted, wrong


async def measure(site: Site, case: Case) -> dict[str, Any]:
    """What *case* takes, by how many ask at once."""
    await ask_all(site.service.url, case, 2 * WORKERS, 2 * WORKERS)  # the first pay for connections and what is kept
    found = {}
    for at_once, count in LOADS.items():
        before, began = site.spent_s(), time.perf_counter()
        lasted, wrong = await ask_all(site.service.url, case, count, at_once)
        took, after = time.perf_counter() - began, site.spent_s()
        found[f"{at_once} at once"] = {
            "p50_ms": percentile(lasted, 50),
            "p95_ms": percentile(lasted, 95),
            "a_second": round(count / took, 1),
            "cpu_ms": {name: round((after[name] - before[name]) / count * 1000, 1) for name in after},
            "failed": len(wrong),
            "of": count,
            **({"first_failure": wrong[0]} if wrong else {}),
        }
    return found


def measure_site(site: Site, address: str) -> dict[str, Any]:
    """All questions to one service; the sample database is in PostgreSQL at *address*, too."""
    cases = [
        Case("", site.service.new_key("default", ["all"]), "default"),
        add_source(site, "acme", "sqlite", "sqlite:///plant.db"),
        add_source(site, "globex", "postgresql", address),
    ]
    return {case.data_source or "document": uvloop.run(measure(site, case)) for case in cases}


def configure_answers(url: str) -> None:
    """Let the fake model decide for the data source, write the query, and write both answers; at once."""
    day = today()
    first, last = day.replace(day=1), day.replace(day=monthrange(day.year, day.month)[1])
    call = {"tool": "query_data", "arguments": {"question": DUE}}
    sql = f"SELECT COUNT(*) AS machines FROM equipment WHERE next_maintenance BETWEEN '{first}' AND '{last}'"  # noqa: S608 - days of ours
    replies = {
        "<table_schema>": sql,
        'tool="query_data"': f"{DUE_THIS_MONTH} machines are due for maintenance this month [1].",
        "dormitory": "A dormitory room costs 850,000 rupiah a month [1].",
    }
    configure_model(url, plans={"due for maintenance": [[call], "ANSWER"]}, replies=replies)


def measure_questions(folder: Path) -> dict[str, Any]:
    """By rules, and with a model."""
    children = list[Child]()
    with ExitStack() as stack:
        (folder / "postgres").mkdir()
        postgres = stack.enter_context(PostgresServer(folder / "postgres"))
        write_database(folder / "plant.db", today())
        address = copy_to_postgres(folder / "plant.db", postgres)
        with running(folder / "rules", postgres) as site:
            by_rules = measure_site(site, address)
        [port] = free_ports(1)
        url = f"http://127.0.0.1:{port}/v1"
        start(children, folder, "model", ["-m", "tests.fakes.model_server", "--port", str(port)])
        stack.callback(children[0].stop, 20)
        wait_until_ready(children[0], f"{url}/models", 20)
        configure_answers(url)
        model = {"LLM_BASE_URL": url, "LLM_API_KEY": "none", "LLM_MODEL": "fake"}
        with running(folder / "model", postgres, **model) as site:
            return {"rules": by_rules, "model": measure_site(site, address)}


def show(questions: Mapping[str, Any], charts: Mapping[str, Any]) -> None:
    """Print all of it."""
    for way, cases in questions.items():
        for name, loads in cases.items():
            for load, row in loads.items():
                cpu = ", ".join(f"{part} {ms:g}" for part, ms in row["cpu_ms"].items())
                print(
                    f"{way:<6} {name:<11} {load:<11} p50 {row['p50_ms']:7.1f} ms  p95 {row['p95_ms']:7.1f} ms  "
                    f"{row['a_second']:6.1f}/s  CPU ms: {cpu}; failed {row['failed']} of {row['of']}"
                )
    print(json.dumps(charts, indent=2))


def judge(questions: Mapping[str, Any], charts: Mapping[str, Any]) -> list[str]:
    """The claims that do not hold."""
    broken = []
    for way, cases in questions.items():
        for name, loads in cases.items():
            broken += [f"{way}, {name}, {load}: {row['failed']} failed" for load, row in loads.items() if row["failed"]]
    peer = questions["rules"]["document"]
    for name in ("sqlite", "postgresql"):
        for load, row in questions["rules"][name].items():
            if sum(row["cpu_ms"].values()) > MAX_TIMES_PEER * sum(peer[load]["cpu_ms"].values()):
                broken.append(f"{name}, {load}: more than {MAX_TIMES_PEER:g} times a question about a document")
    return [*broken, *charts["broken"]]


def main() -> int:
    """Measure, print, and keep it where that is wanted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--save", action="store_true", help=f"keep the figures in {RESULTS.relative_to(ROOT)}")
    parser.add_argument("--note", default="", help="what else holds for this run; kept with the figures")
    wanted = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # else the servers would outlive us
    machine = describe_machine()
    with tempfile.TemporaryDirectory(prefix="pustaka-data-questions-") as folder:
        questions = measure_questions(Path(folder))
    charts = asyncio.run(measure_charts())
    show(questions, charts)
    broken = judge(questions, charts)
    print("\n".join(f"MISSED: {each}" for each in broken) or "Every claim holds.")
    if wanted.save:
        after = [round(load, 2) for load in os.getloadavg()]
        told = {"machine": machine, "load_after": after, "note": wanted.note, "questions": questions, "charts": charts}
        RESULTS.write_text(json.dumps(told, indent=2) + "\n")
    return int(bool(broken))


if __name__ == "__main__":
    sys.exit(main())
