"""Fuzz a running service by its own OpenAPI document, with Schemathesis: `python -m tests.contract.fuzz --cases 10000`.

The service is started for it, with nothing but one document, without limits of rate and without a crawler. Fails where
an answer is a 5xx, or is not described: its status, media type, headers or body; where a request that the document
allows is refused, or one that it does not allow is taken; where a removed thing is still there.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.service import ROOT, Service, one_document, plain_environment

FOLDER = Path(__file__).parent
_OPERATIONS = 40
_CASES = re.compile(r"^\s*([\d,]+) generated", re.MULTILINE)


@dataclass(frozen=True)
class Outcome:
    """How many cases there were, and what Schemathesis says of them; `failed` where it found something."""

    cases: int
    report: str
    failed: bool


def fuzz(service: Service, *, examples: int, phases: str, seed: int = 1, limit_s: float | None = None) -> Outcome:
    """Run it against *service*: so many *examples* of each operation in those *phases*, and what the phases add."""
    command = [
        sys.executable, "-m", "schemathesis.cli", "--config-file", str(FOLDER / "schemathesis.toml"), "run",
        f"{service.url}/openapi.json", "--header", f"X-API-Key: {service.key}", "--checks", "all", "--phases", phases,
        "--max-examples", str(examples), "--seed", str(seed), "--no-shrink", "--warnings", "off",
    ]  # fmt: skip
    # Beside the service's data: Schemathesis leaves a folder of its own where it runs.
    folder, env = service.data_dir.parent, plain_environment({"PYTHONPATH": str(ROOT)})
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=limit_s, check=False)
    found = _CASES.search(done.stdout)
    cases = int(found[1].replace(",", "")) if found else 0
    return Outcome(cases, done.stdout + done.stderr, done.returncode != 0)


@contextmanager
def fuzzed_service(folder: Path) -> Iterator[Service]:
    """A service to be fuzzed: it counts no requests, and reads nothing from the web."""
    variables = {"RATE_LIMIT_ENABLED": "false", "CRAWL_CONCURRENCY": "0", "CRAWL_MAX_PAGES": "20000"}
    with Service(folder / "data", **variables, **one_document(folder)) as service:
        yield service


def errors_of(service: Service) -> list[str]:
    """What *service* has logged as an error."""
    return [line for line in service.logged().splitlines() if json.loads(line)["level"] == "ERROR"]


def main() -> int:
    """Start a service, fuzz it, and print what came of it; 0 if nothing was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=10_000, help="at least so many")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, fuzzed_service(Path(folder)) as service:
        examples = max(1, given.cases // _OPERATIONS)
        outcome = fuzz(service, examples=examples, phases="examples,coverage,fuzzing,stateful", seed=given.seed)
        errors = errors_of(service)
    print(outcome.report)
    print(f"{outcome.cases} cases; {len(errors)} errors in the log of the service", *errors[:20], sep="\n")
    return int(outcome.failed or bool(errors) or outcome.cases < given.cases)


if __name__ == "__main__":
    sys.exit(main())
