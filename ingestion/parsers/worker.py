"""The process in which files are parsed: `python -m ingestion.parsers.worker`, started by `sandbox.py`.

It reads requests from its standard input, a line of JSON followed by the file's bytes, and answers each with a line of
JSON. Only JSON goes back: were this process taken over by a hostile file, its answers could run no code in the service.
"""

import contextlib
import json
import os
import resource
import signal
import sys
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any, BinaryIO

from ingestion.parsers.kinds import parse, pictures
from ingestion.parsers.parsed import Limits
from providers.ocr.chosen import recogniser
from utils.errors import ProviderError, UnreadableDocument
from utils.ports import TextRecogniser

Answer = dict[str, object]
_recognisers: dict[str, TextRecogniser] = {}  # a process reads many files: their models are loaded once


def main() -> None:
    """Serve requests until the service closes the pipe, or ends."""
    requests = sys.stdin.buffer
    with os.fdopen(os.dup(sys.stdout.fileno()), "wb") as answers:
        # Whatever a library prints must not get between the answers.
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        _forbid_files()
        while header := requests.readline():
            _serve(json.loads(header), requests, answers)


def _serve(request: dict[str, Any], requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer with one line; when pages are to be recognised, with one for each of them."""
    limits = Limits(**request["limits"])
    _limit_memory(limits.memory_bytes)
    # The kernel ends this process when time is up, also in the middle of a C library, also if the service is gone.
    timeout_s = limits.page_timeout_s if request["pages"] else limits.timeout_s
    signal.setitimer(signal.ITIMER_REAL, timeout_s)
    data = requests.read(request["size_bytes"])
    for answer in _texts(request, data, limits) if request["pages"] else [_document(request, data, limits)]:
        answers.write(json.dumps(answer).encode() + b"\n")
        answers.flush()
        signal.setitimer(signal.ITIMER_REAL, timeout_s)
    signal.setitimer(signal.ITIMER_REAL, 0)


def _document(request: dict[str, Any], data: bytes, limits: Limits) -> Answer:
    recognised = {int(page): text for page, text in request["recognised"].items()}
    try:
        return {"document": asdict(parse(data, request["name"], limits, recognised))}
    except Exception as exc:  # parsers raise whatever they like on damaged files
        return _failed(exc)


def _texts(request: dict[str, Any], data: bytes, limits: Limits) -> Iterator[Answer]:
    """The text of each page; after one that failed the others are begun anew."""
    pages: list[int] = request["pages"]
    while pages:
        try:
            reader = _recogniser(request["recogniser"])
            for picture in pictures(data, request["name"], limits, pages):
                yield {"text": reader.recognise(picture)}
                pages = pages[1:]
            return
        except Exception as exc:  # as above
            yield _failed(exc)
            pages = pages[1:]


def _recogniser(name: Any) -> TextRecogniser:
    if name not in _recognisers:
        _recognisers[name] = recogniser(name)
    return _recognisers[name]


def _failed(exc: Exception) -> Answer:
    if isinstance(exc, UnreadableDocument | ProviderError):
        return {"refused": exc.detail}
    if isinstance(exc, MemoryError):
        return {"too_large": True}
    return {"broken": f"{type(exc).__name__}: {exc}"[:500]}


def _limit_memory(memory_bytes: int) -> None:
    # macOS does not take it: there only the time is limited.
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, resource.getrlimit(resource.RLIMIT_AS)[1]))


def _forbid_files() -> None:
    """No file grows by what this process writes, and no core is dumped."""
    for limit in (resource.RLIMIT_FSIZE, resource.RLIMIT_CORE):
        resource.setrlimit(limit, (0, 0))


if __name__ == "__main__":
    main()
