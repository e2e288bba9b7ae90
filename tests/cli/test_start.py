"""How commands begin: by `pustaka` as by `flask`, with settings that may be wrong."""

import subprocess
from pathlib import Path

import pytest

from bootstrap.data_folder import open_data_folder
from tests import preloaded

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[2]
FLASK = ["-m", "flask", "--app", str(ROOT / "app.py")]
PUSTAKA = [str(ROOT / "pustaka.py")]


def run(
    command: list[str], folder: Path, *, by_itself: bool = False, **variables: str
) -> "subprocess.CompletedProcess[str]":
    """A command in *folder*; *by_itself* by a new interpreter, which takes seconds."""
    env = {"PATH": "", **variables} | ({"PYTHONPATH": str(ROOT)} if by_itself else {})
    return preloaded.run(command, preloaded=not by_itself, cwd=folder, env=env, timeout=60)


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
    done = run(command, tmp_path, PUSTAKA_ENV_FILE=str(named), **stray)
    told = "Set in this shell, but ignored because PUSTAKA_ENV_FILE names the settings: DATABASE_URI, DATA_DIR.\n"
    assert told in done.stderr
    assert "validate" in command or f"Settings: {named}." in done.stderr
    assert "stray" not in done.stdout + done.stderr
    assert not list(tmp_path.glob("stray*"))


@pytest.mark.parametrize(
    ("command", "by_itself"),
    [([*FLASK, "--help"], True), ([*PUSTAKA, "--help"], False), ([*PUSTAKA, "documents"], True)],
)
def test_settings_that_cannot_be_used_are_told_in_a_line(command: list[str], by_itself: bool, tmp_path: Path) -> None:
    done = run(command, tmp_path, by_itself=by_itself, RATE_LIMIT_PER_HOUR="many")
    told = "Error: RATE_LIMIT_PER_HOUR: Has to be a whole number (it is 'many'). It sets: "
    assert (done.returncode, done.stderr.startswith(told), done.stderr.count("\n")) == (1, True, 1), done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_service_in_the_foreground_is_not_reloaded_but_to_be_restarted(tmp_path: Path) -> None:
    with open_data_folder(tmp_path / "data") as folder:
        done = run([*PUSTAKA, "reload"], tmp_path, DATA_DIR=str(tmp_path / "data"))
    told = f"Error: The service on {folder.path} runs in the foreground, not under gunicorn: restart it."
    assert (done.returncode, done.stderr.splitlines()[-1]) == (1, told)
    gone = run([*PUSTAKA, "reload"], tmp_path, DATA_DIR=str(tmp_path / "data"))
    assert gone.stderr.splitlines()[-1] == f"Error: No service under gunicorn runs on {folder.path}."


@pytest.mark.parametrize("command", [[*FLASK, "conflicts"], [*PUSTAKA, "conflicts"]])
def test_a_file_of_settings_that_is_a_device_ends_the_command_in_a_line(command: list[str], tmp_path: Path) -> None:
    (tmp_path / "zero.env").symlink_to("/dev/zero")
    done = run(command, tmp_path, PUSTAKA_ENV_FILE=str(tmp_path / "zero.env"))
    told = f"Error: {tmp_path}/zero.env is not a regular file. Name a text file with a line for each setting.\n"
    assert (done.returncode, done.stderr) == (1, told)
