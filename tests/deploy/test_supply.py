"""`make sbom` and `make audit`: what is in the service, and what is known against it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.service import ROOT

pytestmark = pytest.mark.long
# By an interpreter of its own: that of the tests knows no IRIs, see tests/conftest.py.
VALIDATE = """
import sys
import rfc3987_syntax
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
sys.exit(JsonStrictValidator(SchemaVersion.V1_6).validate_str(open(sys.argv[1]).read()))
"""


def test_the_sbom_is_valid_and_names_every_pinned_package(tmp_path: Path) -> None:
    made = tmp_path / "sbom.json"
    program = [str(Path(sys.executable).parent / "cyclonedx-py"), "requirements", "requirements-sentry.txt"]
    options = ["--of", "JSON", "--sv", "1.6", "--output-reproducible", "-o", str(made)]
    subprocess.run([*program, *options], cwd=ROOT, check=True, capture_output=True, timeout=120)
    subprocess.run([sys.executable, "-c", VALIDATE, str(made)], check=True, timeout=60)
    named = {(one["name"], one["version"]) for one in json.loads(made.read_text())["components"]}
    lines = (ROOT / "requirements-sentry.txt").read_text().splitlines()
    pins = [line.split()[0].split("==") for line in lines if line[:1].isalpha()]
    assert named == {(name, version) for name, version in pins}


@pytest.mark.parametrize(("options", "code"), [([], 2), (["--accept-unaudited"], 0)])
def test_an_audit_that_cannot_be_made_is_said_to_be_none_and_fails_unless_that_is_accepted(
    tmp_path: Path, options: list[str], code: int
) -> None:
    (tmp_path / "requirements.txt").write_text("this is no requirement ==\n")
    done = subprocess.run(
        [sys.executable, str(ROOT / "deploy" / "audit.py"), *options, str(tmp_path / "requirements.txt")],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == code
    assert "NOT AUDITED" in done.stdout
    assert ("which is accepted here" in done.stdout) == bool(options)


def test_a_known_vulnerability_fails_the_audit_by_its_name(tmp_path: Path) -> None:
    """With a stand-in for pip-audit, whose database says something else every day."""
    known = {"id": "PYSEC-2026-1", "fix_versions": ["2.0"], "aliases": [], "description": ""}
    told = {"dependencies": [{"name": "left", "version": "1.0", "vulns": [known]}], "fixes": []}
    (tmp_path / "pip_audit.py").write_text(f"print({json.dumps(json.dumps(told))})")
    done = subprocess.run(
        [sys.executable, str(ROOT / "deploy" / "audit.py"), "requirements.txt"],
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "left 1.0: PYSEC-2026-1, fixed in 2.0" in done.stdout
