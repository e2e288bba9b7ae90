"""How commands begin: by `pustaka` as by `flask`, with settings that may be wrong."""

import subprocess
import sys
from pathlib import Path

import pytest

from bootstrap.data_folder import open_data_folder

ROOT = Path(__file__).parents[2]
FLASK = [sys.executable, "-m", "flask", "--app", str(ROOT / "app.py")]
PUSTAKA = [sys.executable, str(ROOT / "pustaka.py")]


@pytest.mark.long
@pytest.mark.parametrize(
    "command", [[*FLASK, "documents"], [*PUSTAKA, "documents"], [*PUSTAKA, "validate", "--only", "stores"]]
)
def test_with_a_named_file_of_settings_those_of_the_shell_are_named_and_ignored(
    command: list[str], tmp_path: Path
) -> None:
    (named := tmp_path / "own.env").write_text(f"DATA_DIR={tmp_path / 'data'}\nREDIS_URL='redis://127.0.0.1:1/0'\n")
    stray = {
        "DATABASE_URI": f"sqlite:///{tmp_path / 'stray.db'}",
        "DATA_DIR": str(tmp_path / "stray"),
        "REDIS_URL": "redis://127.0.0.1:1/0",
    }
    variables = {"PATH": "", "PYTHONPATH": str(ROOT), "PUSTAKA_ENV_FILE": str(named), **stray}
    done = subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True, check=False)
    told = "Set in this shell, but ignored because PUSTAKA_ENV_FILE names the settings: DATABASE_URI, DATA_DIR.\n"
    assert told in done.stderr
    assert "validate" in command or f"Settings: {named}." in done.stderr
    assert "stray" not in done.stdout + done.stderr
    assert not list(tmp_path.glob("stray*"))


@pytest.mark.parametrize("command", [[*FLASK, "--help"], [*PUSTAKA, "--help"], [*PUSTAKA, "documents"]])
def test_settings_that_cannot_be_used_are_told_in_a_line(command: list[str], tmp_path: Path) -> None:
    variables = {"PATH": "", "RATE_LIMIT_PER_HOUR": "many", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True, check=False)
    told = "Error: RATE_LIMIT_PER_HOUR: Has to be a whole number (it is 'many'). It sets: "
    assert (done.returncode, done.stderr.startswith(told), done.stderr.count("\n")) == (1, True, 1), done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_service_in_the_foreground_is_not_reloaded_but_to_be_restarted(tmp_path: Path) -> None:
    variables = {"PATH": "", "PYTHONPATH": str(ROOT), "DATA_DIR": str(tmp_path / "data")}
    with open_data_folder(tmp_path / "data") as folder:
        done = subprocess.run([*PUSTAKA, "reload"], env=variables, capture_output=True, text=True, check=False)
    told = f"Error: The service on {folder.path} runs in the foreground, not under gunicorn: restart it."
    assert (done.returncode, done.stderr.splitlines()[-1]) == (1, told)
    gone = subprocess.run([*PUSTAKA, "reload"], env=variables, capture_output=True, text=True, check=False)
    assert gone.stderr.splitlines()[-1] == f"Error: No service under gunicorn runs on {folder.path}."


@pytest.mark.long
@pytest.mark.parametrize("command", [[*FLASK, "conflicts"], [*PUSTAKA, "conflicts"]])
def test_a_file_of_settings_that_is_a_device_ends_the_command_in_a_line(command: list[str], tmp_path: Path) -> None:
    (tmp_path / "zero.env").symlink_to("/dev/zero")
    variables = {"PATH": "", "PUSTAKA_ENV_FILE": str(tmp_path / "zero.env"), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True, check=False, timeout=60)
    told = f"Error: {tmp_path}/zero.env is not a regular file. Name a text file with a line for each setting.\n"
    assert (done.returncode, done.stderr) == (1, told)
