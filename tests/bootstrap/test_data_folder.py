"""The data folder and the ports: one instance at a time, and a clear line where it cannot be."""

import os
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import pytest

from bootstrap.data_folder import load_secret, open_data_folder
from utils.processes import StartError, reserve_port

ROOT = Path(__file__).parents[2]
HOLDER = """
import sys
from collections.abc import Iterator
from pathlib import Path
from bootstrap.data_folder import open_data_folder
with open_data_folder(Path(sys.argv[1]), shared=len(sys.argv) > 2):
    print("held", flush=True)
    sys.stdin.read()
"""


def start_holder(folder: Path, *how: str) -> "subprocess.Popen[str]":
    """Another instance, which holds *folder* until its standard input is closed; any word in *how*: shared."""
    command = [sys.executable, "-c", HOLDER, str(folder), *how]
    holder = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    return holder


def test_a_missing_folder_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    with open_data_folder(tmp_path / "deep" / "data") as data:
        assert data.path == tmp_path / "deep" / "data"
        assert stat.S_IMODE(data.path.stat().st_mode) == 0o700


def test_a_relative_folder_is_found_again_after_the_working_directory_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with open_data_folder(Path("data")) as data:
        assert data.path == tmp_path / "data"


def test_a_second_instance_is_told_who_holds_the_folder_and_what_to_do(tmp_path: Path) -> None:
    with start_holder(tmp_path) as holder:
        with pytest.raises(StartError) as refused, open_data_folder(tmp_path):
            pass
        said = str(refused.value)
        assert f"in use by process {holder.pid}" in said
        assert str(tmp_path) in said
        assert "DATA_DIR" in said
        assert "\n" not in said
        with open_data_folder(tmp_path / "another"):
            pass


def test_the_folder_is_free_again_after_its_holder_ended_or_was_killed(tmp_path: Path) -> None:
    with open_data_folder(tmp_path):
        pass
    with start_holder(tmp_path) as holder:
        holder.kill()
    with open_data_folder(tmp_path):
        pass


def test_a_child_process_does_not_keep_the_folder(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "print(flush=True); input()"]
    with open_data_folder(tmp_path):
        child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, close_fds=False)
    with child:
        assert child.stdout is not None
        child.stdout.readline()
        with open_data_folder(tmp_path):
            child.communicate(b"\n")


@pytest.mark.parametrize("where", ["file", "file/below"])
def test_a_file_in_the_place_of_the_folder_is_refused_by_name(tmp_path: Path, where: str) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(StartError, match=r"file.* DATA_DIR"), open_data_folder(tmp_path / where):
        pass
    assert (tmp_path / "file").read_text() == "mine"


@pytest.fixture
def plain_user() -> Iterator[None]:
    """Nobody special for a while: root may write everywhere and take every port."""
    was = os.geteuid()
    if was == 0:
        os.seteuid(65534)
    yield
    os.seteuid(was)


def test_a_folder_that_cannot_be_written_is_refused_by_name(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    folder = tmp_path / "read-only"
    folder.mkdir(mode=0o500)
    if os.geteuid() == 0:
        os.chown(folder, 65534, -1)
    for above in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
        above.chmod(0o755)
    request.getfixturevalue("plain_user")
    with pytest.raises(StartError, match=rf"{folder} cannot be written .*DATA_DIR"), open_data_folder(folder):
        pass


@pytest.mark.parametrize("mode", [0o755, 0o770, 0o701, 0o777])
def test_a_folder_that_others_may_enter_is_closed_and_it_is_said(
    tmp_path: Path, mode: int, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    folder.chmod(mode)
    with open_data_folder(folder):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert f"mode {mode:04o}" in caplog.text


def test_a_link_in_the_place_of_the_folder_is_refused_with_the_folder_itself(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(StartError, match=rf"symbolic link; set DATA_DIR .*{tmp_path / 'real'}"):
        open_data_folder(tmp_path / "link").__enter__()
    assert list((tmp_path / "real").iterdir()) == []


def test_a_folder_of_another_user_is_refused_with_what_to_do(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give folders away")
    folder = tmp_path / "data"
    folder.mkdir(mode=0o700)
    os.chown(folder, 65534, 65534)
    with pytest.raises(StartError, match=r"belongs to user 65534.*DATA_DIR.*/pustaka"), open_data_folder(folder):
        pass
    assert list(folder.iterdir()) == []


def test_a_reserved_port_takes_connections_and_nobody_else_gets_it() -> None:
    with reserve_port("127.0.0.1", 0, variable="PORT") as listener:
        host, port = listener.getsockname()
        with socket.create_connection((host, port), timeout=5):
            pass
        with pytest.raises(StartError, match=rf"Port {port} is in use .*STREAMLIT_PORT"):
            reserve_port("127.0.0.1", port, variable="STREAMLIT_PORT")
        with pytest.raises(StartError, match=f"Port {port} is in use"):
            reserve_port("0.0.0.0", port, variable="PORT")  # noqa: S104 - refused
    reserve_port("127.0.0.1", port, variable="PORT").close()


@pytest.mark.parametrize("host", ["no such host", "203.0.113.7"])
def test_an_address_that_is_not_ours_is_refused_by_name(host: str) -> None:
    with pytest.raises(StartError, match=host):
        reserve_port(host, 8000, variable="PORT")


@pytest.mark.usefixtures("plain_user")
def test_a_port_only_root_may_take_is_refused_with_advice() -> None:
    if int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text()) <= 1:
        pytest.skip("every user may take every port here")
    with pytest.raises(StartError, match=r"Port 1 is not allowed .*PORT"):
        reserve_port("127.0.0.1", 1, variable="PORT")


def test_workers_share_a_folder_that_one_alone_may_not_take(tmp_path: Path) -> None:
    with start_holder(tmp_path, "shared") as worker:
        with open_data_folder(tmp_path, shared=True):
            pass
        with pytest.raises(StartError, match="in use by another process"), open_data_folder(tmp_path):
            pass
        worker.communicate()
    with start_holder(tmp_path) as alone:
        with pytest.raises(StartError, match=f"process {alone.pid}"), open_data_folder(tmp_path, shared=True):
            pass
        alone.communicate()


def test_a_worker_waits_for_the_one_whose_place_it_takes(tmp_path: Path) -> None:
    with start_holder(tmp_path) as former, ThreadPoolExecutor(1) as thread:

        def take_over() -> float:
            with open_data_folder(tmp_path, patience_s=30):
                return time.monotonic()

        waiting = thread.submit(take_over)
        assert wait([waiting], timeout=0.3).not_done
        ended_s = time.monotonic()
        former.communicate()
        assert 0 < waiting.result(timeout=10) - ended_s < 5


def test_a_secret_is_made_once_for_its_owner_alone_also_by_several_at_once(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = set(pool.map(lambda _: load_secret(tmp_path, "link.key"), range(16)))
    assert made == {load_secret(tmp_path, "link.key")}
    assert len(made.pop()) == 32
    assert [path.name for path in tmp_path.iterdir()] == ["link.key"]
    assert stat.S_IMODE((tmp_path / "link.key").stat().st_mode) == 0o600


@pytest.mark.parametrize("text", ["", "00ff", "no hexadecimal"])
def test_a_secret_that_is_not_whole_stops_the_start_by_name_and_is_not_shown(tmp_path: Path, text: str) -> None:
    (tmp_path / "link.key").write_text(text)
    with pytest.raises(StartError, match=r"link\.key") as refused:
        load_secret(tmp_path, "link.key")
    assert not text or text not in str(refused.value)
