"""What is read of a collection of documents: words and table cells against an expected Markdown, time and memory.

    python -m benchmarks.documents DOCUMENTS

The folder holds `office/` with sources and, in `docling-expected-md/`, what they should say; `pdf/` with ordinary and
damaged PDFs; `malformed/` with an `expected.json` that says what to accept and what to reject. Each file goes the way
of a load: through the process that parses, first quickly, then with its pages that are pictures. At last a PDF of 100
pages is made, half of them scans. Exit code 1 when a file crashes the parser, takes more than 60 s for its text or
1 GiB of memory, or a malformed one is not treated as expected.
"""

import argparse
import io
import json
import logging
import os
import resource
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import pypdfium2

from benchmarks.documents_score import cells_f1, words_f1
from benchmarks.machine import children_of, cpu_s, describe_machine
from ingestion.parsers.kinds import is_known
from ingestion.parsers.parsed import Limits, ParsedDocument
from ingestion.parsers.sandbox import ParserProcess
from providers.ocr.chosen import find_available
from utils.errors import UnreadableDocument
from utils.sandbox.sandbox import Sandbox

HERE = Path(__file__).parent
EXPECTED, SOURCES, MALFORMED = "office/docling-expected-md", "office/docling", "malformed"
MAX_SECONDS, MAX_BYTES = 60.0, 2**30
WORST = 8
SCANNED_DPI = 150


@dataclass(frozen=True, slots=True)
class Read:
    """One file: its pages (1 for a kind without), processor seconds, and what came of it."""

    name: str
    pages: int
    recognised_pages: int
    seconds: float
    cpu_s: float
    recognition_cpu_s: float
    refused: str | None = None
    words_f1: float | None = None
    cells_f1: float | None = None


class Said(logging.Handler):
    """What the parser's log says: `failures`, and the `tries` of a page by a new process, which are no failures."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.failures: list[str] = []
        self.tries: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep it."""
        (self.failures if record.levelno >= logging.WARNING else self.tries).append(record.getMessage())


def read_all(root: Path, parser: ParserProcess) -> Iterator[Read]:
    """Every file below *root* of a kind that is read."""
    for path in sorted(root.rglob("*")):
        if path.is_file() and is_known(path.name) and EXPECTED not in path.as_posix() and "/md/" not in path.as_posix():
            yield read(path, path.relative_to(root).as_posix(), parser, expected_of(root, path))


def read(path: Path, name: str, parser: ParserProcess, expected: str | None) -> Read:
    """One file, and how near it comes to what is expected."""
    data, began, cpu = path.read_bytes(), time.perf_counter(), _cpu()
    try:
        document = parser.parse(data, path.name)
        seconds, parsed_cpu = time.perf_counter() - began, _cpu()
        whole = parser.recognise(data, path.name, document.unread_pages) if document.unread_pages else document
    except UnreadableDocument as exc:
        return Read(name, 0, 0, time.perf_counter() - began, max(0.0, _cpu() - cpu), 0.0, exc.detail)
    recognised = len(document.unread_pages) - len(whole.unread_pages)
    spent = (seconds, max(0.0, parsed_cpu - cpu), max(0.0, _cpu() - parsed_cpu))
    return Read(name, whole.pages or 1, recognised, *spent, None, *_scores(whole, expected))


def _scores(document: ParsedDocument, expected: str | None) -> tuple[float | None, float | None]:
    return (None, None) if expected is None else (words_f1(expected, document.text), cells_f1(expected, document.text))


def expected_of(root: Path, path: Path) -> str | None:
    """The Markdown that an office file should give, if there is one."""
    try:
        group = path.relative_to(root / SOURCES).parts[0]
    except ValueError:
        return None
    folder = root / EXPECTED / group / "groundtruth"
    named = [folder / f"{path.name}.md"]
    if group in ("pdf", "ocr"):  # theirs are named otherwise; elsewhere a PDF beside an office file says the same
        named += [folder / f"{path.stem}.md", *sorted(folder.rglob(f"{path.stem}.*.md"))]
    return next((file.read_text() for file in named if file.is_file()), None)


def broken_claims(root: Path, reads: Sequence[Read], peak_bytes: int, failures: Sequence[str]) -> list[str]:
    """What did not go as it must."""
    broken = [f"{one.name} took {one.seconds:.0f} s" for one in reads if one.seconds > MAX_SECONDS]
    broken += failures
    broken += [f"{peak_bytes / 2**20:.0f} MiB of memory"] if peak_bytes > MAX_BYTES else []
    wanted = json.loads((root / MALFORMED / "expected.json").read_text())
    by_name = {one.name.removeprefix(f"{MALFORMED}/"): one for one in reads if one.name.startswith(MALFORMED)}
    for name, verdict in wanted.items():
        one = by_name[name]
        if "accept" not in verdict and "partial" not in verdict and one.refused is None:
            broken.append(f"{name} is read; expected: {verdict}")
        if "reject" not in verdict and "report" not in verdict and one.refused is not None:
            broken.append(f"{name} is refused ({one.refused}); expected: {verdict}")
    return broken


def long_document(root: Path, pages: int) -> bytes:
    """A PDF of so many pages, every other one a scan, made of pages that are there."""
    made = pypdfium2.PdfDocument.new()
    source = pypdfium2.PdfDocument(root / SOURCES / "pdf/sources/multi_page.pdf")
    for number in range(pages):
        page = source[number % len(source)]
        if number % 2:
            scan = io.BytesIO()
            page.render(scale=SCANNED_DPI / 72).to_pil().convert("L").save(scan, "PDF", resolution=SCANNED_DPI)
            made.import_pages(pypdfium2.PdfDocument(scan.getvalue()))
        else:
            made.import_pages(source, pages=[number % len(source)])
    out = io.BytesIO()
    made.save(out)
    return out.getvalue()


def read_long(root: Path, parser: ParserProcess, pages: int) -> dict[str, float]:
    """Seconds until the text of the long document is there, and until its scans are."""
    data, began, cpu = long_document(root, pages), time.perf_counter(), _cpu()
    document = parser.parse(data, "long.pdf")
    searchable, text_cpu = time.perf_counter() - began, _cpu() - cpu
    whole = parser.recognise(data, "long.pdf", document.unread_pages)
    return {
        "pages": pages,
        "scans": len(document.unread_pages),
        "left": len(whole.unread_pages),
        "searchable_s": round(searchable, 2),
        "searchable_cpu_s": round(text_cpu, 2),
        "complete_s": round(time.perf_counter() - began, 1),
        "complete_cpu_s": round(_cpu() - cpu, 1),
    }


def _cpu() -> float:
    """Of the parser process, and of those that it took the place of."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return cpu_s(children_of(os.getpid())) + ended.ru_utime + ended.ru_stime


def _peak_bytes() -> int:
    """The most memory that a parser process has held."""
    lines = [
        line
        for pid in children_of(os.getpid())
        for line in Path(f"/proc/{pid}/status").read_text().split("\n")
        if line.startswith("VmHWM")
    ]
    ended = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return 1024 * max([ended, *(int(line.split()[1]) for line in lines)])


def summary(reads: Sequence[Read]) -> dict[str, Any]:
    """Medians, the worst, and rates."""
    texts = [one for one in reads if one.refused is None and one.pages and not one.recognised_pages]
    scanned = [one for one in reads if one.recognised_pages]
    by_words = sorted((one for one in reads if one.words_f1 is not None), key=lambda one: one.words_f1 or 0.0)
    by_cells = sorted((one for one in reads if one.cells_f1 is not None), key=lambda one: one.cells_f1 or 0.0)
    return {
        "files": len(reads),
        "read": len([one for one in reads if one.refused is None]),
        "words_f1_median": round(median(one.words_f1 or 0.0 for one in by_words), 3),
        "words_f1_worst": {one.name: round(one.words_f1 or 0.0, 3) for one in by_words[:WORST]},
        "cells_f1_median": round(median(one.cells_f1 or 0.0 for one in by_cells), 3),
        "cells_f1_worst": {one.name: round(one.cells_f1 or 0.0, 3) for one in by_cells[:WORST]},
        "compared": len(by_words),
        "compared_with_tables": len(by_cells),
        "text_pages_per_cpu_s": round(sum(one.pages for one in texts) / sum(one.cpu_s for one in texts), 1),
        "recognised_pages": sum(one.recognised_pages for one in scanned),
        "cpu_s_per_recognised_page": round(
            sum(one.recognition_cpu_s for one in scanned) / max(1, sum(one.recognised_pages for one in scanned)), 2
        ),
        "slowest_s": {one.name: round(one.seconds, 1) for one in sorted(reads, key=lambda one: -one.seconds)[:3]},
        "refused": {one.name: one.refused for one in reads if one.refused is not None},
    }


def main() -> None:
    """Read everything, print the summary, keep it with the files' own figures."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("root", type=Path)
    options.add_argument("--out", type=Path, default=HERE / "results" / "documents.json")
    options.add_argument("--long-pages", type=int, default=100, help="pages of the PDF that is made")
    chosen = options.parse_args()
    machine, reads, peak = describe_machine(), list[Read](), 0
    said = Said()
    logging.getLogger(ParserProcess.__module__).addHandler(said)
    logging.getLogger(ParserProcess.__module__).setLevel(logging.INFO)
    with Sandbox() as sandbox, ParserProcess(Limits(), sandbox) as parser:
        parser.parse(b"warm", "a.txt")
        for one in read_all(chosen.root, parser):
            reads.append(one)
            peak = max(peak, _peak_bytes())
            print(f"{one.seconds:6.2f} s  {one.words_f1 or 0:.3f}  {one.cells_f1 or 0:.3f}  {one.name}", flush=True)
        long = read_long(chosen.root, parser, chosen.long_pages)
        peak = max(peak, _peak_bytes())
    told = {
        **summary(reads),
        "pages_tried_once_more": len(said.tries),
        "peak_mib": round(peak / 2**20),
        "recognition": find_available(),
        "long_pdf": long,
    }
    print(json.dumps(told, indent=1, ensure_ascii=False))
    kept = {"machine": machine, **told, "each": [asdict(one) for one in reads]}
    chosen.out.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n")
    broken = broken_claims(chosen.root, reads, peak, said.failures)
    sys.exit("\n".join(broken) if broken else None)


if __name__ == "__main__":
    main()
