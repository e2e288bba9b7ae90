"""Tesseract as the recognition of a test: the real program, as if RapidOCR were not installed."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from providers.ocr.chosen import LANGUAGES, find_available, has_tesseract
from tests.programs import installed, not_installed


def tesseract_installed() -> Path:
    """The program with the data of all our languages; the test is skipped without, but fails under CI."""
    program = Path(installed("tesseract"))
    if not has_tesseract():
        not_installed(f"Tesseract's data of one of {', '.join(LANGUAGES)}")
    return program


def without_rapidocr(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let Python find no `rapidocr` for the rest of the test, which calls `available.cache_clear` at its end."""
    monkeypatch.setitem(sys.modules, "rapidocr", None)
    find_available.cache_clear()


class MovableTesseract:
    """The program under a path of its own, from where it can be taken away, and with languages that can be."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        program = tesseract_installed()
        self.path, self._data = folder / "tesseract", folder / "tessdata"
        self._data.mkdir()
        self._kept = _data_folder(program)
        for name in (*LANGUAGES, "osd"):
            self.learn(name)
        self.path.write_text(f'#!/bin/sh\nexec {program} --tessdata-dir {self._data} "$@"\n')
        self.path.chmod(0o755)
        monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
        assert shutil.which("tesseract") == str(self.path)

    def remove(self) -> None:
        """Uninstall the program; the system's own one is out of reach too."""
        self.path.write_text("#!/no/such/program\n")

    def learn(self, language: str) -> None:
        """Install the data of *language*."""
        (self._data / f"{language}.traineddata").symlink_to(self._kept / f"{language}.traineddata")

    def forget(self, language: str) -> None:
        """Uninstall the data of *language*."""
        (self._data / f"{language}.traineddata").unlink()


def _data_folder(program: Path) -> Path:
    """What it says in the line above its languages: `List of available languages in "/usr/share/…" (4):`."""
    told = subprocess.run([program, "--list-langs"], capture_output=True, text=True, check=True)
    return Path((told.stdout or told.stderr).split('"')[1])
