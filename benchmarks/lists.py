"""What lists, ratings and conversations cost as they grow: CPU of the service for a request, few rows beside many.

    python -m benchmarks.lists --documents 5000 --turns 500

Claims: each list costs at most 3 times as much among *documents* as among 20, an empty page of failed documents too; a
rating among *turns* at most 3 times as much as among 2, whichever answer it is about. `/health` is the control. Exit
code 1 where one does not hold. The services are embedded ones, on SQLite, with nothing else to do.
"""

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx

from auth.credentials import make_key_principal
from benchmarks.machine import describe_machine
from domain.db_opening import open_database
from tests.api.test_long_conversations import fill as fill_conversation
from tests.domain.test_lists import fill as fill_records
from tests.service import Service, await_vectors, one_document

FEW_DOCUMENTS, FEW_TURNS, MOST = 20, 2, 3.0
_ROUNDS, _REQUESTS = 7, 60
_LISTS = {
    "health": "/health",
    "documents": "/v1/tenant/documents?limit=20",
    "failed documents": "/v1/tenant/documents?limit=20&status=failed",
    "documents of a dataset": "/v1/tenant/datasets/{dataset}/documents?limit=20",
    "failed of a dataset": "/v1/tenant/datasets/{dataset}/documents?limit=20&status=failed",
    "datasets": "/v1/tenant/datasets?limit=20",
    "ratings": "/v1/tenant/ratings?limit=20",
    "web sources": "/v1/tenant/web-sources?limit=20",
}


def cpu_s(service: Service) -> float:
    """What the service's process has spent so far; on Linux, to the nanosecond."""
    return sum(int(file.read_text().split()[0]) for file in _tasks(service)) / 1e9


def _tasks(service: Service) -> Iterator[Path]:
    return Path(f"/proc/{service.process.pid}/task").glob("*/schedstat")


def cost_ms(service: Service, request: Callable[[], httpx.Response]) -> float:
    """CPU milliseconds of a request, the median of rounds."""
    spent = []
    for round_ in range(_ROUNDS):
        began = cpu_s(service)
        for _ in range(_REQUESTS):
            answer = request()
            assert answer.is_success, answer.text
        if round_:  # the first pays for what is remembered
            spent.append((cpu_s(service) - began) / _REQUESTS * 1000)
    return round(statistics.median(spent), 3)


@contextmanager
def filled(documents: int) -> Iterator[tuple[Service, str]]:
    """A service whose default tenant has so many documents and ratings, and the id of their dataset."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        variables = {**one_document(folder), "RATE_LIMIT_ENABLED": "false", "CRAWL_CONCURRENCY": "0"}
        with (
            Service(folder / "data", **variables) as service,
            closing(open_database(f"sqlite:///{service.data_dir / 'pustaka.db'}")) as database,
        ):
            await_vectors(service)
            yield service, fill_records(database, make_key_principal("default", ""), documents)


def measure(documents: int, turns: int) -> dict[str, float]:
    """CPU milliseconds by what is asked for."""
    with filled(documents) as (service, dataset), service.client() as client:
        costs = {
            name: cost_ms(service, lambda path=path: client.get(path.format(dataset=dataset)))  # type: ignore[misc]
            for name, path in _LISTS.items()
        }
        for number in dict.fromkeys((0, turns // 2, turns - 1)):
            fill_conversation(service, "long", turns)
            rate = f"/v1/conversations/long/answers/long-{number}/rating"
            name = {0: "rating of the first answer", turns - 1: "rating of the last answer"}
            shown = name.get(number, "rating of an answer between")
            costs[shown] = cost_ms(service, lambda rate=rate: client.put(rate, json={"rating": "up"}))  # type: ignore[misc]
        costs["a conversation, 50 messages"] = cost_ms(service, lambda: client.get("/v1/conversations/long"))
        return costs


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=5_000)
    parser.add_argument("--turns", type=int, default=500)
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/lists.json"))
    wanted = parser.parse_args()
    machine = describe_machine()
    few, many = measure(FEW_DOCUMENTS, FEW_TURNS), measure(wanted.documents, wanted.turns)
    control = few["rating of the last answer"]
    rows: dict[str, Any] = {name: {"few_ms": few.get(name, control), "many_ms": cost} for name, cost in many.items()}
    for name, row in rows.items():
        row["ratio"] = round(row["many_ms"] / row["few_ms"], 2)
        print(f"{name:<32} {row['few_ms']:8.2f} ms {row['many_ms']:8.2f} ms   x{row['ratio']}")
    sizes = {"documents": [FEW_DOCUMENTS, wanted.documents], "turns": [FEW_TURNS, wanted.turns]}
    told = {"machine": machine, **sizes, "cpu": rows}
    wanted.output.write_text(json.dumps(told, indent=2) + "\n")
    # A page of 50 messages holds more than a conversation of 4.
    judged = {name: row["ratio"] for name, row in rows.items() if name != "a conversation, 50 messages"}
    return int(max(judged.values()) > MOST)


if __name__ == "__main__":
    sys.exit(main())
