"""Tesseract, a program of the operating system: a process of the sandbox for each page, pictures in and text out."""

import re
import shutil
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby

import numpy as np

from providers.ocr.recogniser import RecognitionLimits, Start
from utils.errors import ProviderUnavailable
from utils.ports import Picture
from utils.sandbox.jobs import SandboxJob
from utils.sandbox.process import ProcessEnded
from utils.sandbox.sandbox import NO_SUCH_PROGRAM

AUTOMATIC = "1"  # tesseract --help-psm; looks for the side that is up, for which it wants some lines of text
WORDS = "tessedit_create_tsv=1"
WORD = "5"  # the level of a row that is one
PAGE_S = 40.0
SURE = 80.0  # mean confidence, 0 to 100; plain pages have 90, those on their head 28 to 73
# Wherever it is asked: a process of the sandbox has none of the service's variables, such as TESSDATA_PREFIX. More
# threads than one make it slower: they wait for each other.
ENVIRONMENT = {"OMP_THREAD_LIMIT": "1", "PATH": "/usr/bin:/bin"}
_LONGEST_BYTES = 10_000_000  # of what it writes about a page
_GONE = "Tesseract is not there any more: install it again."
TELL_S = 10.0
FOLDER = re.compile(r'List of available languages in "([^"]+)"')
MISSING = re.compile(r"Failed loading language '(\w+)'")


def list_languages(program: str) -> tuple[str, set[str]]:
    """Where *program* has its data, as far as it says so, and the languages there; none where it does not run."""
    try:
        output = subprocess.run(  # noqa: S603 - our own words alone
            [program, "--list-langs"], capture_output=True, text=True, timeout=TELL_S, check=False, env=ENVIRONMENT
        )
    except (OSError, subprocess.SubprocessError):
        return "", set()
    folder = FOLDER.search(output.stdout + output.stderr)
    return folder[1] if folder else "", set(output.stdout.split())


@cache
def _find_data_folders(program: str) -> tuple[str, ...]:
    folder, _ = list_languages(program)
    return (folder,) if folder else ()


@dataclass(frozen=True, slots=True)
class _Word:
    text: str
    confidence: float  # 0 to 100
    paragraph: tuple[str, str]
    line: str


class Tesseract:
    """A `Recogniser` of the given languages, by Tesseract's three-letter names."""

    def __init__(self, languages: Sequence[str], start: Start, allowance: RecognitionLimits | None = None) -> None:
        self._program = shutil.which("tesseract") or "tesseract"
        self._languages, self._start, self._allowance = tuple(languages), start, allowance or RecognitionLimits()

    def recognise(self, picture: Picture) -> str:
        """See `TextRecogniser`. A page that lies on its side or its head is turned.

        Raises:
            ProviderUnavailable: Tesseract failed, is not there or lacks a language, or took longer than 40 s.
        """
        began, limit_s = time.monotonic(), min(PAGE_S, self._allowance.page_s)
        words = self._read_words(picture, limit_s)
        left_s = limit_s - (time.monotonic() - began)
        # It turns pages of few letters to the right or not at all, never to the left.
        if words and _average_confidence(words) < SURE and left_s > limit_s / 2:
            words = max((words, self._read_words(np.rot90(picture, 2), left_s)), key=_measure_worth)
        return _join_text(words)

    def close(self) -> None:
        """Nothing is left to be ended: each page has a process."""

    def _read_words(self, picture: Picture, limit_s: float) -> list[_Word]:
        height, width, _ = picture.shape
        bitmap = b"P6 %d %d 255\n" % (width, height) + picture.tobytes()  # PPM (netpbm.sourceforge.net/doc/ppm.html)
        try:
            table, complaints, exit_code = self._run(bitmap, time.monotonic() + limit_s)
        except ProcessEnded as exc:
            if exc.reason == "time":
                raise ProviderUnavailable(f"Tesseract took longer than {limit_s:g} s.") from exc
            raise
        if exit_code == NO_SUCH_PROGRAM:
            raise ProviderUnavailable(_GONE)
        self._check_languages(complaints.decode("utf-8", "replace"))
        if exit_code:
            raise ProviderUnavailable("Tesseract could not read the picture.")
        return _parse_words(table.decode("utf-8", "replace"))

    def _run(self, bitmap: bytes, deadline: float) -> tuple[bytes, bytes, int]:
        """What it writes about *bitmap*, what it complains about, and its exit code."""
        with self._start(self._make_job()) as process:
            try:
                process.write(bitmap, deadline)
            except ProcessEnded as exc:  # else it gave up before it had seen all of it, and says why
                if exc.reason == "time":
                    raise
            process.finish_writing()
            table = process.read_to_end(_LONGEST_BYTES, deadline)
            return table, process.read_errors(_LONGEST_BYTES, deadline), process.exit_code()

    def _make_job(self) -> SandboxJob:
        languages = "+".join(self._languages)
        arguments = ("stdin", "stdout", "-l", languages, "--psm", AUTOMATIC, "--dpi", "200", "-c", WORDS)
        return SandboxJob(
            program=(self._program, *arguments),
            variables=tuple(ENVIRONMENT.items()),
            reads=_find_data_folders(self._program),
            memory_bytes=self._allowance.memory_bytes,
            cpu_s=int(PAGE_S) + 1,
        )

    def _check_languages(self, complaints: str) -> None:
        """Refuse a reading without one of the languages: Tesseract goes on with the others, and spells in those."""
        missing = set(MISSING.findall(complaints)) & set(self._languages)
        if missing:
            packages = " ".join(f"tesseract-ocr-{language}" for language in sorted(missing))
            raise ProviderUnavailable(f"Tesseract lacks the data of languages: install {packages}.")


def _parse_words(table: str) -> list[_Word]:
    """The words of Tesseract's TSV (level, page, block, paragraph, line, word, four of the box, confidence, text)."""
    words = []
    for row in table.split("\n"):
        fields = row.rstrip("\r").split("\t", 11)
        if len(fields) == 12 and fields[0] == WORD and fields[11].strip():
            words.append(_Word(fields[11].strip(), float(fields[10]), (fields[2], fields[3]), fields[4]))
    return words


def _average_confidence(words: list[_Word]) -> float:
    """The confidence of a letter, on average."""
    return sum(len(word.text) * word.confidence for word in words) / sum(len(word.text) for word in words)


def _measure_worth(words: list[_Word]) -> float:
    """Letters, weighed by how sure each word is."""
    return sum(len(word.text) * word.confidence**2 for word in words)


def _join_text(words: list[_Word]) -> str:
    paragraphs = (list(paragraph) for _, paragraph in groupby(words, key=lambda word: word.paragraph))
    return "\n\n".join(_join_lines(paragraph) for paragraph in paragraphs)


def _join_lines(paragraph: list[_Word]) -> str:
    return "\n".join(" ".join(word.text for word in line) for _, line in groupby(paragraph, key=lambda word: word.line))
