"""The embedded Valkey: it keeps what it is given, ends with the service, and leaves nothing behind."""

import json
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from bootstrap.valkey import PUBLICATION, ValkeyChild, read_publication
from tests.listeners import tcp_listeners
from utils.processes import StartError

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[2]
SERVICE = """
import os, select, signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever runs the tests may ignore it
told, tell = os.pipe()
os.set_blocking(tell, False)
signal.set_wakeup_fd(tell)  # a signal between two lines would not end a read that begins after it
import sys
from pathlib import Path
from bootstrap.valkey import ValkeyChild
valkey = ValkeyChild(Path(sys.argv[1]))
valkey.start()
try:
    print(valkey.publication.pid, flush=True)
    select.select([sys.stdin, told], [], [])
except KeyboardInterrupt:
    print("alive" if valkey.is_alive() else "ended", flush=True)
    valkey.stop()
"""


def connect(valkey: ValkeyChild) -> redis.Redis:
    return redis.Redis.from_url(valkey.url, decode_responses=True)


def wait_for(condition: Callable[[], bool], timeout_s: float = 10.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[ValkeyChild]:
    """A running server in a folder of its own."""
    server = ValkeyChild(tmp_path)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def service(tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    """A process of its own group that has started a server in `tmp_path`."""
    command = [sys.executable, "-c", SERVICE, str(tmp_path)]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        yield process
        process.kill()


def server_pid(service: "subprocess.Popen[str]") -> int:
    assert service.stdout is not None
    return int(service.stdout.readline())


def test_two_conversations_written_before_a_clean_stop_are_found_by_the_next_start(tmp_path: Path) -> None:
    for name in ("acme:1", "globex:1"):
        valkey = ValkeyChild(tmp_path)
        valkey.start()
        with connect(valkey) as client:
            client.set(f"checkpoint:{name}", name, ex=600)
        assert valkey.stop()
    valkey = ValkeyChild(tmp_path)
    valkey.start()
    with connect(valkey) as client:
        assert client.mget("checkpoint:acme:1", "checkpoint:globex:1") == ["acme:1", "globex:1"]
        assert 0 < client.ttl("checkpoint:acme:1") <= 600
    valkey.stop()


def test_redis_cli_finds_it_through_the_published_file(valkey: ValkeyChild, tmp_path: Path) -> None:
    published = json.loads((tmp_path / PUBLICATION).read_text())
    assert set(published) == {"socket", "pid"}
    assert runs(published["pid"])
    with (
        connect(valkey) as client,
        redis.Redis(unix_socket_path=published["socket"], decode_responses=True) as by_file,
    ):
        client.set("checkpoint:acme:1", "{}")
        assert by_file.keys("checkpoint:*") == ["checkpoint:acme:1"]


def test_nothing_of_it_can_be_read_by_other_users_or_reached_over_the_network(
    valkey: ValkeyChild, tmp_path: Path
) -> None:
    for path in tmp_path.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
    assert tcp_listeners(valkey.publication.pid) == set()
    with connect(valkey) as client:
        assert client.config_get("port") == {"port": "0"}
        with pytest.raises(redis.ResponseError):
            client.config_set("dir", "/tmp")  # noqa: S108 - refused
        with pytest.raises(redis.ResponseError):
            client.execute_command("MODULE", "LOAD", "/tmp/x.so")  # noqa: S108 - refused


def test_it_never_throws_conversations_away_to_save_memory(valkey: ValkeyChild) -> None:
    with connect(valkey) as client:
        assert client.config_get("maxmemory") == {"maxmemory": "0"}
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}


def test_stopping_withdraws_the_publication_and_the_socket(valkey: ValkeyChild, tmp_path: Path) -> None:
    published = valkey.publication
    assert valkey.is_alive()
    assert valkey.stop()
    assert valkey.stop()
    assert not valkey.is_alive()
    assert not runs(published.pid)
    assert not (tmp_path / PUBLICATION).exists()
    assert not Path(published.socket).exists()


@pytest.mark.parametrize("name", ["with 'quotes', \"more\" and spaces", "é-ü-文", "100% $HOME #1?x=y", "x" * 120])
def test_any_name_of_the_folder_will_do(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    valkey = ValkeyChild(folder)
    valkey.start()
    socket_folder = Path(valkey.publication.socket).parent
    with connect(valkey) as client:
        assert client.config_get("dir") == {"dir": str(folder)}
    assert stat.S_IMODE(Path(valkey.publication.socket).stat().st_mode) == 0o700
    assert socket_folder == folder or stat.S_IMODE(socket_folder.stat().st_mode) == 0o700
    valkey.stop()
    assert socket_folder.exists() == (socket_folder == folder)


def test_ctrl_c_reaches_the_service_and_leaves_the_server_until_it_is_stopped(
    service: "subprocess.Popen[str]",
) -> None:
    pid = server_pid(service)
    os.killpg(service.pid, signal.SIGINT)
    assert service.stdout is not None
    assert service.stdout.readline() == "alive\n"
    assert service.wait(10) == 0
    assert not runs(pid)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a child with its parent")
def test_a_killed_service_takes_the_server_with_it_and_loses_nothing(
    service: "subprocess.Popen[str]", tmp_path: Path
) -> None:
    pid = server_pid(service)
    published = read_publication(tmp_path)
    assert published is not None
    with redis.Redis(unix_socket_path=published.socket) as client:
        client.set("checkpoint:acme:1", "kept")
    service.kill()
    # The next start does not wait for anything of ours: the earlier server may still be writing.
    valkey = ValkeyChild(tmp_path)
    valkey.start()
    assert valkey.publication.pid != pid
    with connect(valkey) as client:
        assert client.get("checkpoint:acme:1") == "kept"
    valkey.stop()
    wait_for(lambda: not runs(pid))


def test_it_outlives_the_thread_that_started_it(tmp_path: Path) -> None:
    """Linux ends a child with the thread that made it, not with the process."""
    valkey = ValkeyChild(tmp_path)
    starter = threading.Thread(target=valkey.start)
    starter.start()
    starter.join()
    with connect(valkey) as client:
        # Long enough for the server to notice a signal; it would hang up.
        assert client.blpop(["nothing comes"], timeout=0.5) is None
    assert valkey.is_alive()
    valkey.stop()


def test_a_killed_server_loses_nothing_it_acknowledged(valkey: ValkeyChild) -> None:
    with connect(valkey) as client:
        client.set("checkpoint:acme:1", "kept")
    os.kill(valkey.publication.pid, signal.SIGKILL)
    wait_for(lambda: not valkey.is_alive())
    valkey.start()
    with connect(valkey) as client:
        assert client.get("checkpoint:acme:1") == "kept"


def test_a_server_left_behind_is_shut_down_and_its_data_kept(valkey: ValkeyChild, tmp_path: Path) -> None:
    left = valkey.publication.pid
    with connect(valkey) as client:
        client.set("checkpoint:globex:1", "kept")
    following = ValkeyChild(tmp_path)
    following.start()
    assert not valkey.is_alive()
    assert not runs(left)
    with connect(following) as client:
        assert client.get("checkpoint:globex:1") == "kept"
    following.stop()


def test_a_stale_publication_harms_nobody(tmp_path: Path) -> None:
    """The published id may be another program's by now, the published socket another server's."""
    folder, other = tmp_path / "mine", tmp_path / "other"
    folder.mkdir()
    other.mkdir()
    stranger = ValkeyChild(other)
    stranger.start()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as bystander:
        stale = {"socket": str(folder / "valkey.sock"), "pid": bystander.pid}
        (folder / PUBLICATION).write_text(json.dumps(stale))
        valkey = ValkeyChild(folder)
        valkey.start()
        assert bystander.poll() is None
        assert stranger.is_alive()
        valkey.stop()
        assert bystander.poll() is None
    stranger.stop()


def test_a_server_that_an_older_version_published_with_a_port_is_shut_down(valkey: ValkeyChild, tmp_path: Path) -> None:
    left = valkey.publication
    (tmp_path / PUBLICATION).write_text(json.dumps({"socket": left.socket, "port": 6379, "pid": left.pid}))
    following = ValkeyChild(tmp_path)
    following.start()
    assert not runs(left.pid)
    following.stop()


def test_another_server_at_the_published_socket_is_left_alone(valkey: ValkeyChild, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    stranger = ValkeyChild(other)
    stranger.start()
    wrong = {"socket": stranger.publication.socket, "pid": valkey.publication.pid}
    (tmp_path / PUBLICATION).write_text(json.dumps(wrong))
    with pytest.raises(StartError, match="does not end"):
        ValkeyChild(tmp_path, earlier_timeout_s=0.2).start()
    assert stranger.is_alive()
    stranger.stop()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"socket": 1}'])
def test_an_unreadable_publication_is_no_obstacle(tmp_path: Path, text: str) -> None:
    (tmp_path / PUBLICATION).write_text(text)
    valkey = ValkeyChild(tmp_path)
    valkey.start()
    assert json.loads((tmp_path / PUBLICATION).read_text())["pid"] == valkey.publication.pid
    valkey.stop()


@pytest.mark.parametrize("file", ["*.incr.aof", "*.base.rdb", "*.manifest"])
def test_damaged_conversations_are_reported_with_the_way_out(tmp_path: Path, file: str) -> None:
    damage(tmp_path)
    (damaged,) = (tmp_path / "appendonlydir").glob(file)
    damaged.write_bytes(b"XXXX" + damaged.read_bytes()[4:])
    valkey = ValkeyChild(tmp_path)
    with pytest.raises(StartError) as refused:
        valkey.start()
    said = str(refused.value)
    assert str(tmp_path / "appendonlydir") in said
    assert "damaged" in said
    assert not valkey.is_alive()
    assert not (tmp_path / PUBLICATION).exists()


def test_the_repair_we_advise_keeps_what_stands_before_the_damage(tmp_path: Path) -> None:
    damage(tmp_path)
    with pytest.raises(StartError) as refused:
        ValkeyChild(tmp_path).start()
    subprocess.run(str(refused.value).split("`")[1], shell=True, check=True, capture_output=True)  # noqa: S602 - ours
    valkey = ValkeyChild(tmp_path)
    valkey.start()
    with connect(valkey) as client:
        assert client.mget("first", "last") == ["1", None]
    valkey.stop()


def damage(folder: Path) -> None:
    """Write three keys and overwrite the second in the file."""
    valkey = ValkeyChild(folder)
    valkey.start()
    with connect(valkey) as client:
        for key in ("first", "middle", "last"):
            client.set(key, "1")
    valkey.stop()
    (log,) = (folder / "appendonlydir").glob("*.incr.aof")
    written = log.read_bytes()
    log.write_bytes(written.replace(b"$6\r\nmiddle", b"!!\r\n??????"))


def test_a_write_cut_short_by_a_power_cut_does_not_stop_the_start(tmp_path: Path) -> None:
    valkey = ValkeyChild(tmp_path)
    valkey.start()
    with connect(valkey) as client:
        client.set("whole", "1")
        client.set("cut", "1")
    valkey.stop()
    (log,) = (tmp_path / "appendonlydir").glob("*.incr.aof")
    log.write_bytes(log.read_bytes()[:-3])
    valkey.start()
    with connect(valkey) as client:
        assert client.mget("whole", "cut") == ["1", None]
    valkey.stop()


def test_a_start_that_fails_gives_the_servers_own_reason(tmp_path: Path) -> None:
    (tmp_path / "appendonlydir").write_text("in the way")
    valkey = ValkeyChild(tmp_path)
    with pytest.raises(StartError, match=r"appendonlydir|append only") as refused:
        valkey.start()
    assert "valkey.log" in str(refused.value)
    assert not valkey.is_alive()


def test_a_server_that_does_not_end_is_named(valkey: ValkeyChild, tmp_path: Path) -> None:
    pid = valkey.publication.pid
    os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(StartError, match=f"process {pid}"):
            ValkeyChild(tmp_path, earlier_timeout_s=0.2).start()
    finally:
        os.kill(pid, signal.SIGCONT)
    assert valkey.is_alive()


def test_a_missing_folder_is_a_clear_refusal(tmp_path: Path) -> None:
    with pytest.raises(StartError, match=str(tmp_path / "missing")):
        ValkeyChild(tmp_path / "missing").start()
