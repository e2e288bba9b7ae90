"""Workers that listen on one socket: who gets which connection."""

import os
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from tests.service import ROOT

WORKER = """
import asyncio, os, resource, signal, socket, sys
import uvloop
from server.acceptor import Acceptor

class Tell(asyncio.Protocol):
    def connection_made(self, transport):
        transport.write(f"{os.getpid()}\\n".encode())

async def serve():
    acceptor = Acceptor(socket.socket(fileno=int(sys.argv[1])), Tell)
    if spare := int(sys.argv[2]):
        resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + spare,) * 2)
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    print("ready", flush=True)
    await stopped.wait()
    acceptor.close()
    await acceptor.wait_closed()

uvloop.run(serve())
"""


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0), backlog=100) as made:
        yield made


@contextmanager
def worker(listener: socket.socket, *, spare_files: int = 0) -> Iterator[int]:
    """A process that accepts, and says its id to every client; with *spare_files* it may open only so many more."""
    command = [sys.executable, "-c", WORKER, str(listener.fileno()), str(spare_files)]
    with subprocess.Popen(command, cwd=ROOT, pass_fds=[listener.fileno()], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            yield process.pid
        finally:
            process.kill()


def connect(listener: socket.socket, count: int, staying: ExitStack) -> list[socket.socket]:
    """So many clients at once, each with ten seconds of patience."""
    address = listener.getsockname()
    return [staying.enter_context(socket.create_connection(address, timeout=10)) for _ in range(count)]


def served_by(client: socket.socket) -> int:
    return int(client.makefile().readline())


def test_clients_that_come_together_are_shared_by_the_workers(listener: socket.socket) -> None:
    with worker(listener) as one, worker(listener) as other, ExitStack() as staying:
        served = Counter(map(served_by, connect(listener, 60, staying)))
        assert served.keys() == {one, other}
        assert min(served.values()) >= 10


def test_a_worker_out_of_files_goes_on_when_it_has_some_again(listener: socket.socket) -> None:
    with worker(listener, spare_files=3) as pid, ExitStack() as later:
        with ExitStack() as staying:
            first, *_ = connect(listener, 8, staying)
            assert served_by(first) == pid
            waiting = connect(listener, 1, later)
        assert served_by(waiting[0]) == pid


def test_clients_that_wait_when_the_last_worker_stops_are_served(listener: socket.socket) -> None:
    with worker(listener) as pid, ExitStack() as staying:
        os.kill(pid, signal.SIGSTOP)
        waiting = connect(listener, 20, staying)
        address = listener.getsockname()
        listener.close()
        os.kill(pid, signal.SIGTERM)
        os.kill(pid, signal.SIGCONT)
        assert {served_by(client) for client in waiting} == {pid}
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address)
