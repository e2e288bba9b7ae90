"""What somebody does who has taken a parser over with a hostile file: each attack by name, tried from inside.

An attack gives what it got, and raises OSError where it was refused.
"""

import ctypes
import fcntl
import json
import os
import resource
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from utils.sandbox.kernel import call, call_function
from utils.sandbox.walls import Wall

FILES, CALLS, PRIVILEGES, LIMITS, MEMORY = Wall.FILES, Wall.CALLS, Wall.PRIVILEGES, Wall.LIMITS, Wall.MEMORY
Targets = Mapping[str, Any]
_X86 = os.uname().machine == "x86_64"
KNOWN_BEFORE_THE_FORK = ctypes.create_string_buffer(b"what the fork server holds", 32)


@dataclass(frozen=True)
class Attack:
    """What to do with the targets, and the walls of which each one alone is enough to stop it."""

    do: Callable[[Targets], object]
    walls: frozenset[Wall]


ATTACKS: dict[str, Attack] = {}
_REMEMBERED: list[str] = []


def stopped_by(*walls: Wall) -> Callable[[Callable[[Targets], object]], Callable[[Targets], object]]:
    """Make an attack of a function."""

    def register(function: Callable[[Targets], object]) -> Callable[[Targets], object]:
        ATTACKS[function.__name__] = Attack(function, frozenset(walls))
        return function

    return register


def attempt(requests: BinaryIO, answers: BinaryIO) -> None:
    """Try one attack, as the work of a process in the sandbox."""
    request = json.loads(requests.readline())
    try:
        answer = {"got": repr(_named(request["attack"])(request["targets"]))}
    except OSError as exc:
        answer = {"refused": str(exc)}
    answers.write(json.dumps(answer).encode() + b"\n")


def _named(attack: str) -> Callable[[Targets], object]:
    return ATTACKS[attack].do if attack in ATTACKS else globals()[attack]


# What is not this process's to read


@stopped_by(FILES, MEMORY)
def read_the_environment_of_the_service(targets: Targets) -> object:
    return _secret(Path(f"/proc/{targets['service']}/environ").read_bytes(), targets)


@stopped_by(FILES, MEMORY)
def read_the_memory_of_the_service(targets: Targets) -> object:
    with open(f"/proc/{targets['service']}/mem", "rb") as memory:
        memory.seek(targets["address"])
        return memory.read(8)


@stopped_by(FILES)
def read_the_key_that_signs_links(targets: Targets) -> object:
    return (Path(targets["data"]) / "link.key").read_bytes()


@stopped_by(FILES)
def read_the_database(targets: Targets) -> object:
    return (Path(targets["data"]) / "pustaka.db").read_bytes()[:16]


@stopped_by(FILES)
def list_the_data_folder(targets: Targets) -> object:
    return os.listdir(targets["data"])


@stopped_by(FILES)
def read_the_document_of_another_tenant(targets: Targets) -> object:
    return Path(targets["document"]).read_bytes()


@stopped_by(FILES)
def read_the_names_of_users(targets: Targets) -> object:
    return Path("/etc/passwd").read_bytes()[:16]


@stopped_by(FILES)
def read_the_home_folder(targets: Targets) -> object:
    names = set(os.listdir(targets["home"]))
    if names != set(targets["names"]):  # in a root of its own there is the way to Python, and nothing else
        raise OSError("It holds nothing.")
    return names


@stopped_by(FILES)
def read_the_sources_and_what_lies_beside_them(targets: Targets) -> object:
    return (Path(targets["root"]) / "config.py").read_bytes()[:16]


@stopped_by(FILES)
def see_which_processes_there_are(targets: Targets) -> object:
    return Path(f"/proc/{targets['service']}/cmdline").read_bytes()


@stopped_by(FILES)
def load_a_library_from_elsewhere(targets: Targets) -> object:
    return ctypes.CDLL(targets["library"])


# Others, in the network and on this machine


@stopped_by(CALLS, FILES)
def connect_by_tcp(targets: Targets) -> object:
    with socket.create_connection(("127.0.0.1", targets["port"]), 5) as connection:
        return connection.getpeername()


@stopped_by(CALLS)
def send_by_udp(targets: Targets) -> object:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        return sender.sendto(b"secret", ("127.0.0.1", 9))


@stopped_by(CALLS, FILES)
def listen_for_connections(targets: Targets) -> object:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()


@stopped_by(CALLS)
def connect_to_the_state_server(targets: Targets) -> object:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(targets["socket"])
        connection.sendall(b"PING\r\n")
        return connection.recv(16)


@stopped_by(CALLS, FILES)
def connect_to_an_abstract_socket(targets: Targets) -> object:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect("\0" + targets["abstract"])
        return connection.getpeername()


@stopped_by(CALLS)
def talk_to_the_kernel_by_netlink(targets: Targets) -> object:
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as connection:
        connection.bind((0, 0))
        return connection.getsockname()


@stopped_by(CALLS)
def make_a_pair_of_sockets(targets: Targets) -> object:
    one, other = socket.socketpair()
    with one, other:
        return one.fileno(), other.fileno()


# Processes


@stopped_by(CALLS, FILES)
def start_a_program(targets: Targets) -> object:
    return subprocess.run(["/bin/true"], check=True, timeout=10).returncode


@stopped_by(CALLS, FILES)
def become_another_program(targets: Targets) -> object:
    os.execve("/bin/sh", ["sh", "-c", """echo '{"got": "a shell"}' >&3"""], {})  # noqa: S606
    return None


@stopped_by(CALLS)
def fork(targets: Targets) -> object:
    child = os.fork()
    if not child:
        os._exit(0)
    return os.waitpid(child, 0)


@stopped_by(CALLS)
def start_a_thread(targets: Targets) -> object:
    try:
        thread = threading.Thread(target=lambda: None)
        thread.start()
    except RuntimeError as exc:
        raise OSError(str(exc)) from exc
    thread.join()
    return thread


@stopped_by(CALLS, FILES)
def signal_the_service(targets: Targets) -> object:
    return os.kill(targets["service"], signal.SIGCONT)


@stopped_by(CALLS, FILES)
def signal_the_process_that_forked_it(targets: Targets) -> object:
    return os.kill(os.getppid(), signal.SIGCHLD)


@stopped_by(CALLS)
def signal_every_process(targets: Targets) -> object:
    return os.kill(-1, 0)


@stopped_by(CALLS, MEMORY, FILES)
def debug_the_process_that_forked_it(targets: Targets) -> object:
    parent = os.getppid()
    call_function("ptrace", ctypes.c_long(16), ctypes.c_long(parent), None, None)  # PTRACE_ATTACH
    os.waitpid(parent, 0)
    call_function("ptrace", ctypes.c_long(17), ctypes.c_long(parent), None, None)  # PTRACE_DETACH
    return parent


@stopped_by(CALLS, MEMORY, FILES)
def read_the_memory_of_the_process_that_forked_it(targets: Targets) -> object:
    return _copy("process_vm_readv", os.getppid())


@stopped_by(CALLS, MEMORY, FILES)
def write_into_the_process_that_forked_it(targets: Targets) -> object:
    return _copy("process_vm_writev", os.getppid())


@stopped_by(CALLS, MEMORY, FILES)
def take_a_descriptor_of_the_process_that_forked_it(targets: Targets) -> object:
    parent = call(434, os.getppid(), 0)  # pidfd_open
    return call(438, parent, 0, 0)  # pidfd_getfd


# What lasts


@stopped_by(CALLS, FILES, LIMITS)
def write_a_file(targets: Targets) -> object:
    (Path(targets["folder"]) / "left").write_bytes(b"for the next")
    return (Path(targets["folder"]) / "left").stat().st_size


@stopped_by(CALLS, FILES, LIMITS)
def write_a_temporary_file(targets: Targets) -> object:
    with tempfile.NamedTemporaryFile(dir="/tmp") as file:
        file.write(b"for the next")
        file.flush()
        return file.name


@stopped_by(CALLS, FILES, LIMITS)
def write_into_shared_memory(targets: Targets) -> object:
    path = Path("/dev/shm") / f"left-by-a-parser-{os.getpid()}"  # noqa: S108
    path.write_bytes(b"for the next")
    return path.unlink()


@stopped_by(CALLS, FILES)
def make_a_folder(targets: Targets) -> object:
    return (Path(targets["folder"]) / "made").mkdir()


@stopped_by(CALLS, FILES)
def delete_a_file(targets: Targets) -> object:
    return (Path(targets["folder"]) / "victim").unlink()


@stopped_by(CALLS)
def change_the_rights_of_a_file(targets: Targets) -> object:
    return os.chmod(targets["document"], 0o640)


@stopped_by(CALLS, FILES)
def change_the_code_of_a_parser(targets: Targets) -> object:
    with open(Path(targets["root"]) / "ingestion" / "__init__.py", "ab") as file:
        return file.fileno()


@stopped_by(CALLS, LIMITS)
def fill_memory_that_is_no_process_s(targets: Targets) -> object:
    return os.write(os.memfd_create("left"), b"x")


@stopped_by(CALLS)
def leave_a_segment_of_shared_memory(targets: Targets) -> object:
    segment = call_function("shmget", 0, ctypes.c_size_t(4096), 0o1600)
    return call_function("shmctl", segment, 0, None)


@stopped_by(CALLS)
def leave_a_key_in_the_kernel(targets: Targets) -> object:
    return call(248 if _X86 else 217, b"user\0", b"left\0", b"x", 1, -3)  # add_key, in the session's keyring


# The walls themselves


@stopped_by(LIMITS, CALLS)
def raise_its_own_limits(targets: Targets) -> object:
    unlimited = resource.RLIM_INFINITY
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (unlimited, unlimited))
    except ValueError as exc:
        raise OSError(str(exc)) from exc
    if resource.getrlimit(resource.RLIMIT_FSIZE)[0] != unlimited:
        raise OSError("They are as they were.")
    return unlimited


@stopped_by(CALLS)
def lower_the_limits_of_the_service(targets: Targets) -> object:
    before = resource.prlimit(targets["service"], resource.RLIMIT_CORE)
    return resource.prlimit(targets["service"], resource.RLIMIT_CORE, before)


@stopped_by(CALLS)
def survive_its_parent(targets: Targets) -> object:
    return call_function("prctl", 1, ctypes.c_ulong(0), 0, 0, 0)  # PR_SET_PDEATHSIG


@stopped_by(CALLS)
def let_others_look_into_it(targets: Targets) -> object:
    return call_function("prctl", 4, ctypes.c_ulong(1), 0, 0, 0)  # PR_SET_DUMPABLE


@stopped_by(CALLS)
def enter_a_namespace(targets: Targets) -> object:
    return call_function("unshare", 0x10000000)  # CLONE_NEWUSER


@stopped_by(CALLS, PRIVILEGES)
def mount_a_file_system(targets: Targets) -> object:
    call_function("unshare", 0x00020000)  # CLONE_NEWNS
    return call_function("mount", b"none", b"/mnt", b"tmpfs", 0, None)


@stopped_by(CALLS, PRIVILEGES)
def open_a_file_by_its_number(targets: Targets) -> object:
    handle = ctypes.create_string_buffer(b"\x08\0\0\0\x01\0\0\0" + bytes(8), 128)
    try:
        return call(304 if _X86 else 265, 3, ctypes.byref(handle), 0)  # open_by_handle_at
    except OSError as exc:
        if exc.errno in (1, 38):
            raise
        return f"it would be looked for: {exc}"


@stopped_by(CALLS)
def make_calls_by_a_ring(targets: Targets) -> object:
    return call(425, 4, ctypes.byref(ctypes.create_string_buffer(120)))  # io_uring_setup


@stopped_by(CALLS)
def handle_page_faults(targets: Targets) -> object:
    return call(323 if _X86 else 282, os.O_CLOEXEC | 1)  # userfaultfd


@stopped_by(CALLS, PRIVILEGES)
def load_a_program_into_the_kernel(targets: Targets) -> object:
    attributes = ctypes.create_string_buffer(b"\x02\0\0\0\x04\0\0\0\x04\0\0\0\x01\0\0\0", 72)  # an array of one
    return call(321 if _X86 else 280, 0, ctypes.byref(attributes), 72)  # bpf, BPF_MAP_CREATE


@stopped_by(CALLS, PRIVILEGES)
def count_what_the_processor_does(targets: Targets) -> object:
    attributes = ctypes.create_string_buffer(b"\x01\0\0\0\x80\0\0\0", 128)  # PERF_TYPE_SOFTWARE
    return call(298 if _X86 else 241, ctypes.byref(attributes), 0, -1, -1, 0)  # perf_event_open


@stopped_by(CALLS, PRIVILEGES)
def change_its_root(targets: Targets) -> object:
    return os.chroot("/")


@stopped_by(CALLS)
def put_a_signal_on_a_descriptor_for_the_service(targets: Targets) -> object:
    return fcntl.fcntl(3, fcntl.F_SETOWN, targets["service"])


@stopped_by()
def use_a_descriptor_that_was_left_open(targets: Targets) -> object:
    for descriptor in range(5, 4096):
        try:
            os.fstat(descriptor)
        except OSError:
            continue
        return descriptor
    raise OSError("There is none.")


@stopped_by()
def read_the_environment_it_was_started_with(targets: Targets) -> object:
    address = ctypes.POINTER(ctypes.c_char_p).in_dll(ctypes.CDLL(None), "environ")
    if dict(os.environ):
        return dict(os.environ)
    kept = []
    while address and address[len(kept)]:
        kept.append(address[len(kept)])
    if kept:
        return kept
    raise OSError("It is empty.")


@stopped_by()
def find_what_was_remembered(targets: Targets) -> object:
    if not _REMEMBERED:
        raise OSError("There is nothing.")
    return _REMEMBERED


def remember_something(targets: Targets) -> object:
    _REMEMBERED.append("a document")
    return len(_REMEMBERED)


class _Vector(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


def _copy(name: str, process: int) -> int:
    own = ctypes.create_string_buffer(b"changed", 8)
    mine, theirs = (_Vector(ctypes.addressof(one), 8) for one in (own, KNOWN_BEFORE_THE_FORK))
    return call_function(
        name, process, ctypes.byref(mine), ctypes.c_ulong(1), ctypes.byref(theirs), ctypes.c_ulong(1), ctypes.c_ulong(0)
    )


def _secret(data: bytes, targets: Targets) -> object:
    if targets["secret"].encode() not in data:
        raise OSError("The secret is not there.")
    return targets["secret"]
