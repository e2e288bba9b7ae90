"""Parsers that a hostile file has taken over, as work for a process in the sandbox in the place of ours."""

import ctypes
import json
import os
import time
from typing import Any, BinaryIO

_SECTION = {"heading": [], "level": 0, "page": None, "start": 0, "body": 0, "end": 4}
_DOCUMENT: dict[str, Any] = {"text": "text", "sections": [_SECTION], "title": None, "media_type": "text/plain"}
# Answers that no parser gives, by what is wrong with them.
LIES: dict[str, bytes] = {
    "no JSON": b"<html>",
    "nothing": b"{}",
    "another shape": b'["document"]',
    "nested too deep": b"[" * 100_000,
    "a number too large": b'{"document": ' + b"9" * 100_000 + b"}",
    "a text that is a list": json.dumps({"document": {**_DOCUMENT, "text": ["text"]}}).encode(),
    "a text without sections": json.dumps({"document": {"text": "text"}}).encode(),
    "a section beyond the text": json.dumps({"document": {**_DOCUMENT, "text": "t"}}).encode(),
    "a section before the text": json.dumps(
        {"document": {**_DOCUMENT, "sections": [{**_SECTION, "start": -4, "body": -4}]}}
    ).encode(),
    "sections over each other": json.dumps({"document": {**_DOCUMENT, "sections": [_SECTION, _SECTION]}}).encode(),
    "a page that there cannot be": json.dumps({"document": {**_DOCUMENT, "unread_pages": [10**9]}}).encode(),
    "a character that no text holds": json.dumps({"document": {**_DOCUMENT, "text": "te\0t"}}).encode(),
    "half a character": b'{"document": {"text": "\\ud800ext", "sections": [], "title": null, "media_type": "a"}}',
    "a title without end": json.dumps({"document": {**_DOCUMENT, "title": "t" * 10_000}}).encode(),
    "a fact that front matter does not tell": json.dumps(
        {"document": {**_DOCUMENT, "front_matter": {"scanned": "yes"}}}
    ).encode(),
    "a date without end": json.dumps({"document": {**_DOCUMENT, "front_matter": {"date": "2" * 10_000}}}).encode(),
    "a reason without end": json.dumps({"refused": "r" * 10_000}).encode(),
}


def tell_a_lie(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer with the lie that the file names."""
    request = json.loads(requests.readline())
    name = requests.read(request["size_bytes"]).decode()
    answers.write(LIES[name] + b"\n")


def ask_for_conversion(requests: BinaryIO, answers: BinaryIO) -> None:
    """Say of every file that LibreOffice has to convert it first."""
    requests.readline()
    answers.write(b'{"convert_to": "docx"}\n')


def answer_without_end(requests: BinaryIO, answers: BinaryIO) -> None:
    """Never end the line."""
    while True:
        answers.write(b"x" * 1_000_000)


def make_a_forbidden_call(requests: BinaryIO, answers: BinaryIO) -> None:
    """Debug the parent."""
    requests.readline()
    ctypes.CDLL(None).ptrace(ctypes.c_long(16), ctypes.c_long(os.getppid()), None, None)


def go_on_unheard(requests: BinaryIO, answers: BinaryIO) -> None:
    """Close the connection, and stay."""
    requests.readline()
    os.close(3)
    os.closerange(5, 64)
    requests.close()
    answers.close()
    time.sleep(1_000)


def calculate_for_ever(requests: BinaryIO, answers: BinaryIO) -> None:
    """Use the processor."""
    while True:
        pass


def take_all_memory(requests: BinaryIO, answers: BinaryIO) -> None:
    """Use memory, and say what stopped that."""
    requests.readline()
    taken = []
    try:
        while True:
            taken.append(bytearray(50_000_000))
    except MemoryError:
        taken_bytes = sum(map(len, taken))
    taken.clear()
    answers.write(json.dumps(taken_bytes).encode() + b"\n")
