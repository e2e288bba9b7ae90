"""The work of processes in the sandbox: to `parse` a file, or to `draw` its pages for text recognition.

Each takes a line of JSON, which says what is wanted, and the file. Only JSON and pixels go back: were this process
taken over by a hostile file, its answers could run no code in the service.
"""

import json
from dataclasses import asdict
from typing import Any, BinaryIO

from ingestion.parsers import kinds
from ingestion.parsers.parsed import Limits, OldFormat
from utils.errors import UnreadableDocument

Answer = dict[str, object]


def parse(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer with the document as one line of JSON."""
    request, data, limits = _request(requests)
    recognised = {int(page): text for page, text in request["recognised"].items()}
    answer: Answer
    try:
        answer = {"document": asdict(kinds.parse(data, request["name"], limits, recognised))}
    except Exception as exc:  # parsers raise whatever they like on damaged files
        answer = _make_failure(exc)
    _write(answers, answer)


def draw(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer with a line of JSON for each page that is wanted, its pixels after it, until one cannot be drawn."""
    request, data, limits = _request(requests)
    try:
        for picture in kinds.iter_pictures(data, request["name"], limits, request["pages"]):
            height, width, _ = picture.shape
            _write(answers, {"height": height, "width": width})
            answers.write(picture.tobytes())
            answers.flush()
    except Exception as exc:  # as above
        _write(answers, _make_failure(exc))


def _request(requests: BinaryIO) -> tuple[dict[str, Any], bytes, Limits]:
    request = json.loads(requests.readline())
    return request, requests.read(request["size_bytes"]), Limits(**request["limits"])


def _write(answers: BinaryIO, answer: Answer) -> None:
    answers.write(json.dumps(answer, ensure_ascii=False).encode() + b"\n")
    answers.flush()


def _make_failure(exc: Exception) -> Answer:
    if isinstance(exc, OldFormat):
        return {"convert_to": exc.target}
    if isinstance(exc, UnreadableDocument):
        return {"refused": exc.detail}
    if isinstance(exc, MemoryError):
        return {"too_large": True}
    return {"broken": f"{type(exc).__name__}: {exc}"[:500]}
