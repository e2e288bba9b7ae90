"""What of the service can be reached at all: the ports that are configured, and sockets of its own user alone."""

import os
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.gunicorn_service import KEY, GunicornService
from tests.listeners import process_tree, tcp_listeners, umask_of, unix_listeners
from tests.service import ROOT, Service, ask, free_port, one_document, plain_environment

pytestmark = pytest.mark.long

OPEN_TO_OTHERS = 0o077


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The service with all that listens, on every address, started by a shell that lets others read new files."""
    folder = tmp_path_factory.mktemp("listeners")
    variables = {
        "HOST": "0.0.0.0",  # noqa: S104 - what is tried
        "STREAMLIT_ENABLED": "true",
        "STREAMLIT_PORT": str(free_port()),
        "PROMETHEUS_ENABLED": "true",
        "METRICS_PORT": str(free_port()),
        **one_document(folder),
    }
    before = os.umask(0)
    try:
        service = Service(folder / "data", **variables).start()
    finally:
        os.umask(before)
    with service.client() as client:
        ask(client, "How much does a dormitory room cost?")
    yield service
    service.stop()


def test_only_the_configured_ports_are_open_and_metrics_to_this_machine_alone(everything: Service) -> None:
    variables = everything.variables
    assert tcp_listeners(everything.process.pid) == {
        ("0.0.0.0", everything.port),  # noqa: S104 - as configured
        ("0.0.0.0", int(variables["STREAMLIT_PORT"])),  # noqa: S104 - as configured
        ("127.0.0.1", int(variables["METRICS_PORT"])),
    }


def test_unix_sockets_are_in_folders_of_the_services_user_alone(everything: Service) -> None:
    paths = unix_listeners(everything.process.pid)
    assert paths == {str(everything.data_dir / "valkey.sock")}
    for path in map(Path, paths):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_no_other_port_of_this_machine_speaks_to_the_embedded_valkey(everything: Service) -> None:
    for host, port in tcp_listeners(everything.process.pid):
        where = (host.replace("0.0.0.0", "127.0.0.1"), port)  # noqa: S104 - compared
        with socket.create_connection(where, timeout=5) as connection:
            connection.sendall(b"PING\r\n\r\n")
            assert not connection.recv(100).startswith(b"+PONG"), where


def test_what_the_service_writes_is_its_users_alone_whatever_the_shell_allows(everything: Service) -> None:
    assert open_files(everything.data_dir) == []
    masks = {pid: umask_of(pid) for pid in process_tree(everything.process.pid)}
    assert {pid: mask for pid, mask in masks.items() if mask not in ("0077", "")} == {}


def open_files(folder: Path) -> list[str]:
    """Files and folders below that others may read, write or enter; *folder* itself among them."""
    paths = [folder, *folder.rglob("*")]
    return [str(path) for path in paths if not path.is_symlink() and path.stat().st_mode & OPEN_TO_OTHERS]


PROGRAMS = {
    "flask": ["-m", "flask", "--app", f"{ROOT / 'app.py'}:create_app", "documents"],
    "gunicorn": ["-m", "gunicorn", "-c", str(ROOT / "gunicorn.conf.py"), "--check-config"],
    "celery": ["-m", "celery", "-A", "worker", "report"],
    "validate.py": [str(ROOT / "validate.py"), "--offline", "--only", "folders"],
}
# A program that ends while a thread still runs leaves by `os._exit`, which calls nothing that `atexit` was given.
TELL_UMASK = """
import atexit, os
leave = os._exit
def tell():
    print(f"umask {os.umask(0):04o}", flush=True)
def tell_and_leave(code):
    tell()
    leave(code)
atexit.register(tell)
os._exit = tell_and_leave
"""


@pytest.mark.parametrize("program", PROGRAMS)
def test_files_of_every_program_are_its_users_alone_whatever_the_shell_allows(tmp_path: Path, program: str) -> None:
    (tmp_path / "sitecustomize.py").write_text(TELL_UMASK)
    variables = {"DATA_DIR": str(tmp_path / "data"), "REDIS_URL": "redis://127.0.0.1:1", "API_KEY": KEY}
    done = subprocess.run(
        [sys.executable, *PROGRAMS[program]],
        cwd=ROOT,
        env=plain_environment({**variables, "PYTHONPATH": str(tmp_path)}),
        umask=0,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "umask 0077" in done.stdout + done.stderr, (done.stdout, done.stderr)
    assert not (tmp_path / "data").exists() or open_files(tmp_path / "data") == []


def test_gunicorn_opens_its_port_and_nothing_else(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        service = GunicornService(tmp_path / "data", **one_document(tmp_path))
        with service:
            assert tcp_listeners(service.process.pid) == {("127.0.0.1", service.port)}
            assert unix_listeners(service.process.pid) == {str(service.data_dir / "valkey.sock")}
            assert open_files(service.data_dir) == []
            masks = {umask_of(pid) for pid in process_tree(service.process.pid)}
            assert masks <= {"0077", ""}
    finally:
        os.umask(before)
