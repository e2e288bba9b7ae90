"""A kernel that lacks a wall: what is told to whom, and what SANDBOX_REQUIRED makes of it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.service import ROOT, Service, one_document, plain_environment

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="there are walls on Linux alone"),
    pytest.mark.long,
    pytest.mark.soak,
]
LESSER = [sys.executable, "-m", "tests.security.sandbox.lesser_kernel"]
NO_FILES = "landlock,namespaces"


def on_a_lesser_kernel(lacks: str, *command: str, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a program of ours where the kernel *lacks* something."""
    return subprocess.run(
        [*LESSER, lacks, sys.executable, *command],
        cwd=cwd,
        env=plain_environment({"PYTHONPATH": str(ROOT), **variables}),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def findings(folder: Path, lacks: str, **variables: str) -> list[tuple[str, str]]:
    """What `validate.py` says about the sandbox there: levels and what was found."""
    command = [str(ROOT / "validate.py"), "--json", "--offline", "--only", "modules"]
    done = on_a_lesser_kernel(lacks, *command, cwd=folder, DATA_DIR=str(folder / "data"), **variables)
    rows = json.loads(done.stdout)["checks"]
    return [(row["level"], row["found"] + row["remedy"]) for row in rows if row["check"] == "Sandbox"]


def test_the_check_names_each_wall_that_is_missing_and_what_that_means(tmp_path: Path) -> None:
    (_, standing), (level, missing) = findings(tmp_path, NO_FILES)
    assert level == "warning"
    assert "system calls: seccomp" in standing
    for part in ("files", "No Landlock", "other tenants' documents", "Linux 5.13"):
        assert part in missing


def test_the_check_fails_where_all_walls_are_required(tmp_path: Path) -> None:
    assert [level for level, _ in findings(tmp_path, "seccomp", SANDBOX_REQUIRED="true")] == ["ok", "FAILURE"]


def test_a_service_that_requires_all_walls_does_not_start_without_one(tmp_path: Path) -> None:
    variables = {"SANDBOX_REQUIRED": "true", "DATA_DIR": str(tmp_path / "data"), "STREAMLIT_ENABLED": "false"}
    done = on_a_lesser_kernel("seccomp", str(ROOT / "app.py"), cwd=tmp_path, **variables)
    assert done.returncode == 1
    assert "SANDBOX_REQUIRED" in done.stderr
    assert "system calls" in done.stderr


def test_a_command_that_requires_all_walls_reads_nothing_without_one(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("text")
    variables = {"SANDBOX_REQUIRED": "true", "DATA_DIR": str(tmp_path / "data")}
    command = ["-m", "flask", "--app", f"{ROOT / 'app.py'}:create_app", "load", str(tmp_path / "a.md")]
    done = on_a_lesser_kernel("seccomp", *command, cwd=tmp_path, **variables)
    assert done.returncode != 0
    assert "SANDBOX_REQUIRED" in done.stderr


class OnALesserKernel(Service):
    """A service whose kernel has no wall around files."""

    def launch(self) -> None:
        """Start it without waiting."""
        with self._out.open("wb") as out, self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*LESSER, NO_FILES, sys.executable, str(ROOT / "app.py")],
                cwd=self._nowhere,
                env=plain_environment({"PYTHONPATH": str(ROOT), **self.variables}),
                stdout=out,
                stderr=log,
            )


def test_a_service_goes_on_without_a_wall_and_says_so(tmp_path: Path) -> None:
    with OnALesserKernel(tmp_path / "data", **one_document(tmp_path)) as service, service.client() as client:
        told = client.get("/health?verbose").json()["sandbox"]
        assert client.get("/health").json().keys() == {"status", "version", "redis", "timestamp"}
    assert list(told["missing"]) == ["files"]
    assert told["walls"]["system calls"] == "seccomp"
    [warning] = [line for line in map(json.loads, service.logged().splitlines()) if line["level"] == "WARNING"]
    assert "files isolation is not available" in warning["message"]
