"""Questions while the index of a site gives way to another one and the change is taken back:

    python -m benchmarks.index_switch --documents 300 --clients 4 --change model
    python -m benchmarks.index_switch --documents 100 --asides 5 --clients 4 --change passages

Two gunicorn workers on Redis, PostgreSQL and a fake Qdrant server. The model that comes with the service gives way to
one behind an HTTP endpoint (a fake, with a tenth of a second for eight passages), or passages of 220 tokens to those of
60; by `.env` and SIGHUP as an operator does it, and back by `flask index rollback`. Every question has one right
answer, a number in the documents. Claimed: no question fails and no answer is wrong, in any phase. The control is the
phase before: what the build costs those who ask is the difference. Ends with 1 where the claim does not hold.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import quantiles

from benchmarks.machine import describe_machine
from tests.end_to_end.index_switching import SMALLER_PASSAGES, Asked, switch_and_go_back, switching_site
from tests.end_to_end.stacks import servers

RESULTS = Path(__file__).parent / "results"
NAMES = {"model": "index_switch.json", "passages": "index_switch_passages.json"}


def figures(asked: Sequence[Asked], began_s: float) -> dict[str, float]:
    """What those who asked in a phase noticed; `seconds` until the last answer."""
    cuts = quantiles([each.ms for each in asked], n=20) if len(asked) > 1 else [0.0] * 19
    return {
        "seconds": round(max(each.at + each.ms / 1000 for each in asked) - began_s, 1),
        "questions": len(asked),
        "failed": sum(each.failed for each in asked),
        "wrong": sum(not each.right and not each.failed for each in asked),
        "p50_ms": round(cuts[9], 1),
        "p95_ms": round(cuts[18], 1),
    }


def main() -> int:
    """Run it, print a table, keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--documents", type=int, default=300)
    parser.add_argument("--asides", type=int, default=0, help="paragraphs of a document beside its fact")
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--change", choices=NAMES, default="model", help="what the new index differs by")
    parser.add_argument("--pause-s", type=float, default=15.0, help="how long each phase but the build lasts")
    parser.add_argument("--save", action="store_true", help="keep the figures in results/")
    options = parser.parse_args()
    machine = describe_machine()
    with tempfile.TemporaryDirectory(prefix="pustaka-switch-") as folder:
        shape = {"documents": options.documents, "asides": options.asides, "clients": options.clients}
        place = Path(folder)
        with servers(place) as stores, switching_site(place, stores, **shape, embedding_ms=100) as site:
            change = SMALLER_PASSAGES if options.change == "passages" else site.another_model
            switch_and_go_back(site, change, questions=1, pause_s=options.pause_s)
            passages = site.passages()
    phases = {phase: figures(site.in_phase(phase), began_s) for phase, began_s in site.began.items()}
    print(f"{'phase':<20}" + "".join(f"{name:>11}" for name in phases["before"]))
    for phase, found in phases.items():
        print(f"{phase:<20}" + "".join(f"{value:>11}" for value in found.values()))
    for each in site.crowd.asked:
        if not each.right:
            print(f"after {each.at - site.began['before']:.1f} s: {each.told}")
    if options.save:
        kept = {"machine": machine, **shape, "passages_after": passages, "phases": phases}
        (RESULTS / NAMES[options.change]).write_text(json.dumps(kept, indent=1) + "\n")
    return int(any(found["failed"] or found["wrong"] for found in phases.values()))


if __name__ == "__main__":
    sys.exit(main())
