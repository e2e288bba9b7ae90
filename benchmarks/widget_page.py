"""What the widget costs the page of an institution's website, by Lighthouse in Debian's Chromium.

    python -m benchmarks.widget_page --save     about three minutes; needs Node 18.20 or newer

Claims: the script is at most 40 KB gzipped, and a page with it has in no category of Lighthouse more than one point
less than the same page without it. Lighthouse simulates a phone on a slow line; each figure is the median of five runs,
the two pages in turns. Exit code 1 where a claim does not hold.
"""

import argparse
import gzip
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

from benchmarks.machine import describe_machine
from tests.service import Service, one_document

_RESULTS = Path(__file__).parent / "results" / "widget_page.json"
_LIGHTHOUSE = "lighthouse@12.2.1"
_ROUNDS, _LONGEST_S = 5, 120
_MAX_POINTS, _MAX_BYTES = 1, 40_000
_METRICS = "first-contentful-paint", "largest-contentful-paint", "total-blocking-time", "cumulative-layout-shift"
_PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="description" content="Courses, fees and dates of Acme College."><title>Acme College</title>
<link rel="icon" href="data:,"><style>body {{ font: 1rem/1.5 sans-serif; margin: 2rem auto; max-width: 60ch }}</style>
</head><body><main><h1>Acme College</h1>{text}</main>{script}</body></html>"""
_TEXT = (
    "<h2>Term {0}</h2><p>Courses of term {0} begin on the first Monday of the month. Fees are due two weeks before.</p>"
)


@dataclass(frozen=True, slots=True)
class Figures:
    """Medians of a page: points by category, 0 to 100; milliseconds, and of the shift a number without a unit."""

    points: dict[str, float]
    metrics: dict[str, float]


@contextmanager
def serve_pages(scripts: dict[str, str]) -> Iterator[str]:
    """A website with a page for each path of *scripts*, which ends with that script; its address."""
    text = "".join(_TEXT.format(number) for number in range(1, 13))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            script = scripts.get(self.path)
            body = b"" if script is None else _PAGE.format(text=text, script=script).encode()
            self.send_response(404 if script is None else 200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"http://localhost:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def run_lighthouse(url: str) -> dict[str, Any]:
    """Its report about a page."""
    flags = ["--output=json", "--quiet", "--chrome-flags=--headless=new --no-sandbox"]
    environment = {**os.environ, "CHROME_PATH": shutil.which("chromium") or ""}
    command = ["npx", "--yes", _LIGHTHOUSE, url, *flags]
    done = subprocess.run(command, env=environment, capture_output=True, timeout=_LONGEST_S, check=True)
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def summarize(reports: list[dict[str, Any]]) -> Figures:
    """The medians of some reports about the same page."""

    def median(kind: str, name: str, value: str) -> float:
        return statistics.median(float(report[kind][name][value]) for report in reports)

    points = {name: round(100 * median("categories", name, "score"), 1) for name in reports[0]["categories"]}
    return Figures(points, {name: round(median("audits", name, "numericValue"), 3) for name in _METRICS})


def measure(folder: Path) -> tuple[dict[str, Figures], int]:
    """The page without and with the widget; and the bytes of the script, gzipped."""
    scripts = {"/without": "", "/with": ""}
    with serve_pages(scripts) as site, Service(folder / "data", **one_document(folder)) as service:
        bot = {"id": "helper", "name": "Helper", "allowed_origins": [site]}
        with service.client() as owner:
            owner.post("/v1/tenant/bots", json=bot).raise_for_status()
            size = len(gzip.compress(owner.get("/widget.js").content, 9))
        scripts["/with"] = f'<script src="{service.url}/widget.js" data-bot="default/helper" defer></script>'
        reports: dict[str, list[dict[str, Any]]] = {path: [] for path in scripts}
        for _ in range(_ROUNDS):
            for path, found in reports.items():
                found.append(run_lighthouse(site + path))
        loaded = [item["url"] for item in reports["/with"][0]["audits"]["network-requests"]["details"]["items"]]
        assert f"{service.url}/widget.js" in loaded, loaded
    return {path.strip("/"): summarize(found) for path, found in reports.items()}, size


def broken_claims(figures: dict[str, Figures], size: int) -> list[str]:
    """What this benchmark says must hold and does not."""
    without, with_widget = figures["without"].points, figures["with"].points
    broken = [
        f"{name}: {with_widget[name]} with the widget, {points} without"
        for name, points in without.items()
        if points - with_widget[name] > _MAX_POINTS
    ]
    return broken + [f"{size:,} bytes of script"] * (size > _MAX_BYTES)


def main() -> int:
    """Measure, print, and save where that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--save", action="store_true", help="write the results beside the others")
    arguments = parser.parse_args()
    machine = describe_machine()
    with tempfile.TemporaryDirectory() as folder:
        figures, size = measure(Path(folder))
    pages = {name: {"points": each.points, "metrics": each.metrics} for name, each in figures.items()}
    results = {"machine": machine, "lighthouse": _LIGHTHOUSE, "script_gzipped_bytes": size, "pages": pages}
    print(json.dumps(results, indent=2))
    if arguments.save:
        _RESULTS.write_text(json.dumps(results, indent=2) + "\n", "utf-8")
    broken = broken_claims(figures, size)
    print(*broken, sep="\n", file=sys.stderr)
    return bool(broken)


if __name__ == "__main__":
    sys.exit(main())
