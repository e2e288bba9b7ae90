"""How long a two-sentence upload waits behind a load of 10,000 passages, of another tenant and of its own.

    python -m benchmarks.fair_queue
    python -m benchmarks.fair_queue --passages 2000 --database postgresql://…

Claim: while 500 files are taken in, the small upload is found by its words within 2 s and by its meaning within 20 s,
in the tenant of the load as in another, and the load goes on meanwhile.
Exit code 1 where it does not hold.

The load is sent in full; the first two small uploads follow at once, two more when the first passages of the load are
in the index, and two more when some of their vectors are. A search has to find them: the one by a word that they alone
have, the other by a question that shares no word with them.
"""

import argparse
import json
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from benchmarks.machine import describe_machine
from tests.service import Service, await_vectors, one_document

BY_WORDS_S, BY_MEANING_S = 2.0, 20.0
FILES = 500
_BATCH = 20
_SOME_VECTORS = 16  # passages of the load that are embedded when the last small uploads come
_LIMIT_S = 300.0
_WORDS_LOOK_S, _MEANING_LOOK_S = 0.1, 0.5  # between two looks, which take processor time of the load
_SENTENCES = (
    "Section {n}.{part} governs the loan of instrument {n} from cabinet {part} of the {place} laboratory. "
    "Whoever takes it signs the register, keeps it dry, reports each defect to the technician in charge within {days} "
    "working days and brings it back complete, with its case, its cables and the calibration sheet of that year. "
    "A loan may be renewed twice, as long as nobody else of the faculty waits for the same instrument, and it ends at "
    "once when the borrower leaves the university or lends the instrument to a third person without written consent. "
    "The technician notes the state of the instrument, its serial number and the number of hours it was switched on. "
    "Damage that is due to ordinary wear is paid for by the laboratory, all other damage by the borrower's institute. "
    "Instruments of more than five kilograms are moved by two people, and those with a laser by trained staff alone. "
)
_PLACES = ("optics", "hydrology", "acoustics", "robotics", "geodesy", "materials", "botany")
_SMALL = "# {word}\n\nThe {word} rabbit of house {number} eats carrots every morning. It sleeps in a wooden hutch.\n"
_QUESTION = "Which vegetable does the pet animal have for breakfast?"


@dataclass
class Upload:
    """One small upload, and seconds from its acknowledgement until it was found; None: not within the limit."""

    tenant: str
    moment: str
    word: str
    by_words_s: float | None = None
    by_meaning_s: float | None = None
    upload_s: float = 0.0
    load_before: dict[str, int] = field(default_factory=dict)
    load_after: dict[str, int] = field(default_factory=dict)


def paragraphs(count: int, offset: int) -> str:
    """Text that is cut into about *count* passages: one a section, as each heading begins one."""
    parts = []
    for number in range(offset, offset + count):
        place = _PLACES[number % len(_PLACES)]
        text = _SENTENCES.format(n=number, part=number % 13, place=place, days=2 + number % 28)
        parts.append(f"## Instrument {number}\n\n{text}\n")
    return "\n".join(parts)


def make_load(passages: int) -> dict[str, bytes]:
    """The files of the load by their names."""
    each = max(1, passages // FILES)
    return {f"load {n:04}.md": f"# Loans {n}\n\n{paragraphs(each, n * each)}".encode() for n in range(FILES)}


class Tenant:
    """A tenant with a dataset, as its owner sees it."""

    def __init__(self, service: Service, name: str) -> None:
        self.name = name
        self._client = service.client(service.new_key(name))
        self._client.timeout = httpx.Timeout(120)
        self._dataset = self._client.post("/v1/tenant/datasets", json={"name": "Fair"}).raise_for_status().json()["id"]

    def upload(self, files: dict[str, bytes]) -> list[str]:
        """Send *files*, a batch at a time; the ids of their documents."""
        ids: list[str] = []
        names = list(files)
        for start in range(0, len(names), _BATCH):
            sent = [("files", (name, files[name])) for name in names[start : start + _BATCH]]
            answer = self._client.post(f"/v1/tenant/datasets/{self._dataset}/documents/upload", files=sent)
            ids += [job["document_id"] for job in answer.raise_for_status().json()["jobs"]]
        return ids

    def search(self, query: str) -> list[dict[str, Any]]:
        """The best passages."""
        answer = self._client.post("/v1/search", json={"query": query, "limit": 10}).raise_for_status()
        found: list[dict[str, Any]] = answer.json()["passages"]
        return found

    def finds(self, document_id: str, query: str, *, by: str) -> bool:
        """Whether the document is found *by* its words, or its similarity."""
        return any(one["document_id"] == document_id and one[by] for one in self.search(query))

    def counts(self) -> dict[str, int]:
        """How many documents are how far."""
        shown = f"/v1/tenant/datasets/{self._dataset}/documents"
        statuses = ("pending", "processing", "completed", "failed")
        return {
            status: self._client.get(shown, params={"limit": 1, "status": status}).raise_for_status().json()["total"]
            for status in statuses
        }


def pending(service: Service) -> int:
    """Passages that wait for their vector."""
    with service.client() as client:
        count: int = client.get("/health?verbose").json()["indexing"]["pending_count"]
    return count


def send_small(tenant: Tenant, load: Tenant, moment: str, number: int, limit_s: float) -> Upload:
    """Upload two sentences and wait until they are found by words and by meaning."""
    word = "zubrowka" + "".join(filter(str.isalnum, f"{tenant.name}{moment}"))
    sent = Upload(tenant.name, moment, word, load_before=load.counts())
    began_s = time.monotonic()
    [document_id] = tenant.upload({f"{word}.md": _SMALL.format(word=word, number=number).encode()})
    accepted_s = time.monotonic()
    sent.upload_s = round(accepted_s - began_s, 2)
    deadline_s = accepted_s + limit_s
    word_s = _time_of(lambda: tenant.finds(document_id, word, by="words"), deadline_s, look_s=_WORDS_LOOK_S)
    asked = partial(tenant.finds, document_id, _QUESTION, by="similarity")
    meaning_s = _time_of(asked, deadline_s, look_s=_MEANING_LOOK_S) if word_s else None
    sent.by_words_s, sent.by_meaning_s = (at and round(at - accepted_s, 2) for at in (word_s, meaning_s))
    sent.load_after = load.counts()
    return sent


def send_pair(tenants: list[Tenant], load: Tenant, moment: str, limit_s: float) -> list[Upload]:
    """A small upload of each tenant at the same time."""
    sent: list[Upload] = []
    threads = [
        threading.Thread(target=lambda n=n, one=one: sent.append(send_small(one, load, moment, n, limit_s)))
        for n, one in enumerate(tenants)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(sent, key=lambda one: one.tenant)


@contextmanager
def running(folder: Path, database: str | None) -> Iterator[Service]:
    """A service with one small document."""
    variables = {**one_document(folder), "RATE_LIMIT_ENABLED": "false"}
    if database:
        variables["DATABASE_URI"] = database
    with Service(folder / "data", **variables) as service:
        await_vectors(service)
        yield service


def measure(passages: int, database: str | None, limit_s: float) -> dict[str, Any]:
    """Send the load and the small uploads; what each of these waited for, and how long the load took."""
    with tempfile.TemporaryDirectory() as name, running(Path(name), database) as service:
        large, other = Tenant(service, "large"), Tenant(service, "other")
        began_s = time.monotonic()
        files = make_load(passages)
        large.upload(files)
        sent_s = time.monotonic() - began_s
        sent = send_pair([large, other], large, "at once", limit_s)
        _time_of(lambda: pending(service) > 0, time.monotonic() + limit_s, look_s=_MEANING_LOOK_S)
        sent += send_pair([large, other], large, "while words are put in", limit_s)
        most = max(pending(service), 1)
        deadline_s = time.monotonic() + limit_s
        while (now := pending(service)) >= most - _SOME_VECTORS and time.monotonic() < deadline_s:
            most = max(most, now)
            time.sleep(_MEANING_LOOK_S)
        sent += send_pair([large, other], large, "while vectors are computed", limit_s)
        left = pending(service)
        elapsed_s = time.monotonic() - began_s
    return {
        "files": len(files),
        "bytes": sum(map(len, files.values())),
        "load sent s": round(sent_s, 1),
        "most passages pending": most,
        "passages pending at the end": left,
        "measured for s": round(elapsed_s, 1),
        "uploads": [vars(one) for one in sent],
    }


def _time_of(condition: Callable[[], bool], deadline_s: float, *, look_s: float) -> float | None:
    while time.monotonic() < deadline_s:
        if condition():
            return time.monotonic()
        time.sleep(look_s)
    return None


def _holds(upload: dict[str, Any]) -> bool:
    words, meaning = upload["by_words_s"], upload["by_meaning_s"]
    return words is not None and meaning is not None and words <= BY_WORDS_S and meaning <= BY_MEANING_S


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--passages", type=int, default=10_000)
    parser.add_argument("--limit", type=float, default=_LIMIT_S, help="seconds that a small upload is waited for")
    parser.add_argument("--database", help="a PostgreSQL database; SQLite unless given")
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/fair_queue.json"))
    wanted = parser.parse_args()
    told: dict[str, Any] = {"machine": describe_machine(), "passages": wanted.passages}
    found = measure(wanted.passages, wanted.database, wanted.limit)
    told["loads"] = [found]
    for one in found["uploads"]:
        words, meaning = one["by_words_s"], one["by_meaning_s"]
        print(f"{one['moment']:<28} {one['tenant']:<6} words {words} s   meaning {meaning} s")
    wanted.output.write_text(json.dumps(told, indent=2) + "\n")
    return int(not all(map(_holds, found["uploads"])))


if __name__ == "__main__":
    sys.exit(main())
