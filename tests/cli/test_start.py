"""How commands begin: by `pustaka` as by `flask`, with settings that may be wrong."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FLASK = [sys.executable, "-m", "flask", "--app", str(ROOT / "app.py")]
PUSTAKA = [sys.executable, str(ROOT / "pustaka.py")]


@pytest.mark.parametrize("command", [[*FLASK, "--help"], [*PUSTAKA, "--help"], [*PUSTAKA, "documents"]])
def test_settings_that_cannot_be_used_are_told_in_a_line(command: list[str], tmp_path: Path) -> None:
    variables = {"PATH": "", "RATE_LIMIT_PER_HOUR": "many", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True, check=False)
    told = "Error: RATE_LIMIT_PER_HOUR: Has to be a whole number (it is 'many'). It sets: "
    assert (done.returncode, done.stderr.startswith(told), done.stderr.count("\n")) == (1, True, 1), done.stderr
    assert list(tmp_path.iterdir()) == []
