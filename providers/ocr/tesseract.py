"""Tesseract, a program of the operating system: a process a page, pictures in and text out through pipes."""

import re
import shutil
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from providers.ocr.chosen import ENVIRONMENT
from utils.errors import ProviderUnavailable
from utils.ports import Picture

AUTOMATIC = "1"  # tesseract --help-psm; looks for the side that is up, for which it wants some lines of text
WORDS = "tessedit_create_tsv=1"
WORD = "5"  # the level of a row that is one
PAGE_S = 40.0
SURE = 80.0  # mean confidence, 0 to 100; plain pages have 90, those on their head 28 to 73
MISSING = re.compile(r"Failed loading language '(\w+)'")


@dataclass(frozen=True, slots=True)
class _Word:
    text: str
    confidence: float  # 0 to 100
    paragraph: tuple[str, str]
    line: str


class Tesseract:
    """A `TextRecogniser` of the given languages, by Tesseract's three-letter names."""

    def __init__(self, languages: Sequence[str]) -> None:
        self._program = shutil.which("tesseract") or "tesseract"
        self._languages = tuple(languages)

    def recognise(self, picture: Picture) -> str:
        """See `TextRecogniser`. A page that lies on its side or its head is turned.

        Raises:
            ProviderUnavailable: Tesseract failed, is not there or lacks a language, or took longer than 40 s.
        """
        began = time.monotonic()
        words = self._words(picture, PAGE_S)
        left_s = PAGE_S - (time.monotonic() - began)
        # It turns pages of few letters to the right or not at all, never to the left.
        if words and _confidence(words) < SURE and left_s > PAGE_S / 2:
            words = max((words, self._words(np.rot90(picture, 2), left_s)), key=_worth)
        return _text(words)

    def _words(self, picture: Picture, limit_s: float) -> list[_Word]:
        height, width, _ = picture.shape
        bitmap = b"P6 %d %d 255\n" % (width, height) + picture.tobytes()  # PPM (netpbm.sourceforge.net/doc/ppm.html)
        languages = "+".join(self._languages)
        command = [self._program, "stdin", "stdout", "-l", languages, "--psm", AUTOMATIC, "--dpi", "200", "-c", WORDS]
        try:
            done = subprocess.run(  # noqa: S603 - our own words alone
                command, input=bitmap, capture_output=True, timeout=limit_s, check=False, env=ENVIRONMENT
            )
        except subprocess.TimeoutExpired as exc:
            raise ProviderUnavailable(f"Tesseract took longer than {PAGE_S:g} s.") from exc
        except OSError as exc:
            raise ProviderUnavailable("Tesseract is not there any more: install it again.") from exc
        self._check_languages(done.stderr.decode("utf-8", "replace"))
        if done.returncode:
            raise ProviderUnavailable("Tesseract could not read the picture.")
        return _found(done.stdout.decode("utf-8", "replace"))

    def _check_languages(self, complaints: str) -> None:
        """Refuse a reading without one of the languages: Tesseract goes on with the others, and spells in those."""
        missing = set(MISSING.findall(complaints)) & set(self._languages)
        if missing:
            packages = " ".join(f"tesseract-ocr-{language}" for language in sorted(missing))
            raise ProviderUnavailable(f"Tesseract lacks the data of languages: install {packages}.")


def _found(table: str) -> list[_Word]:
    """The words of Tesseract's TSV (level, page, block, paragraph, line, word, four of the box, confidence, text)."""
    words = []
    for row in table.split("\n"):
        fields = row.rstrip("\r").split("\t", 11)
        if len(fields) == 12 and fields[0] == WORD and fields[11].strip():
            words.append(_Word(fields[11].strip(), float(fields[10]), (fields[2], fields[3]), fields[4]))
    return words


def _confidence(words: list[_Word]) -> float:
    """Of a letter, on average."""
    return sum(len(word.text) * word.confidence for word in words) / sum(len(word.text) for word in words)


def _worth(words: list[_Word]) -> float:
    """Letters, weighed by how sure each word is."""
    return sum(len(word.text) * word.confidence**2 for word in words)


def _text(words: list[_Word]) -> str:
    paragraphs = (list(paragraph) for _, paragraph in groupby(words, key=lambda word: word.paragraph))
    return "\n\n".join(_lines(paragraph) for paragraph in paragraphs)


def _lines(paragraph: list[_Word]) -> str:
    return "\n".join(" ".join(word.text for word in line) for _, line in groupby(paragraph, key=lambda word: word.line))
