"""Which text recognition is used: RapidOCR, or Tesseract where that is not installed.

Of three printed pages, one of them with a table, RapidOCR reads .986 to .997 of the words right (token F1), Tesseract
.957 to .988 in three fifths of the time. RapidOCR comes with the packages and needs no languages, so that a document
says the same wherever it is read.
"""

import shutil
import subprocess
from functools import cache
from importlib.util import find_spec
from typing import Literal

from utils.ports import TextRecogniser

Name = Literal["tesseract", "rapidocr"]
LANGUAGES = ("eng", "ind", "spa")
TELL_S = 10.0
# Tesseract's, wherever it is asked: the process that parses has none of the service's variables, such as
# TESSDATA_PREFIX. More threads than one make it slower: they wait for each other.
ENVIRONMENT = {"OMP_THREAD_LIMIT": "1", "PATH": "/usr/bin:/bin"}


@cache
def available() -> Name | None:
    """The recognition that there is on this machine; None without any."""
    if find_spec("rapidocr") and find_spec("onnxruntime"):
        return "rapidocr"
    return "tesseract" if has_tesseract() else None


def has_tesseract() -> bool:
    """Whether Tesseract is installed, with the data of every one of `LANGUAGES`."""
    program = shutil.which("tesseract")
    if program is None:
        return False
    try:
        told = subprocess.run(  # noqa: S603 - our own words alone
            [program, "--list-langs"], capture_output=True, text=True, timeout=TELL_S, check=False, env=ENVIRONMENT
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return set(LANGUAGES) <= set(told.stdout.split())


def recogniser(name: Name) -> TextRecogniser:
    """The recognition called *name*; its models are loaded here, which takes about a second."""
    if name == "tesseract":
        from providers.ocr.tesseract import Tesseract

        return Tesseract(LANGUAGES)
    from providers.ocr.rapid import RapidOcr

    return RapidOcr()
