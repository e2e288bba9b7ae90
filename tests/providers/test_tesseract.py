"""Tesseract, the program itself: pages in any position, pages without text, and what is missing is told."""

import io
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from providers.ocr.chosen import LANGUAGES, has_tesseract
from providers.ocr.tesseract import Tesseract
from tests.ingestion.files import picture
from tests.ocr import MovableTesseract, tesseract_installed
from tests.reading import SANDBOX
from utils.errors import ProviderUnavailable
from utils.ports import Picture
from utils.sandbox.sandbox import Sandbox

pytestmark = pytest.mark.long

SHORT = ("Hours on a page", "that lies on its side", "are read all the same")
LONG = (
    "The library opens at nine in the morning",
    "¿Mañana? La inscripción cuesta 850 euros",
    "Perpustakaan buka pukul sembilan pagi",
    "Fees are due in March of every year",
)


@pytest.fixture(autouse=True)
def _program() -> None:
    tesseract_installed()


@pytest.fixture
def sandbox() -> Sandbox:
    return SANDBOX


@pytest.fixture
def movable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MovableTesseract:
    return MovableTesseract(tmp_path, monkeypatch)


def shown(*lines: str, turn: int = 0) -> Picture:
    return np.asarray(Image.open(io.BytesIO(picture(*lines, turn=turn))).convert("RGB"))


@pytest.mark.parametrize("turn", [0, 90, 180, 270])
@pytest.mark.parametrize("lines", [SHORT[:1], SHORT, LONG])
def test_a_page_is_read_however_it_lies(lines: tuple[str, ...], turn: int, sandbox: Sandbox) -> None:
    assert Tesseract(LANGUAGES, sandbox.start).recognise(shown(*lines, turn=turn)).split() == " ".join(lines).split()


def test_lines_stay_lines_and_paragraphs_are_apart(sandbox: Sandbox) -> None:
    page = shown("Hours", "The library opens at nine.", "", "", "Fees", "They are due in March.")
    said = "Hours\nThe library opens at nine.\n\nFees\nThey are due in March."
    assert Tesseract(LANGUAGES, sandbox.start).recognise(page) == said


@pytest.mark.parametrize("size", [(1, 1), (1, 2600), (2600, 1), (2339, 1654)])
@pytest.mark.parametrize("shade", [0, 255])
def test_a_page_without_text_says_nothing(size: tuple[int, int], shade: int, sandbox: Sandbox) -> None:
    assert Tesseract(LANGUAGES, sandbox.start).recognise(np.full((*size, 3), shade, dtype=np.uint8)) == ""


def test_noise_as_large_as_a_page_is_no_text_and_no_trouble(sandbox: Sandbox) -> None:
    noise = np.random.default_rng(1).integers(0, 2, (1654, 2339, 1), dtype=np.uint8) * 255
    assert len(Tesseract(LANGUAGES, sandbox.start).recognise(noise.repeat(3, axis=2))) < 20


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_language_that_is_missing_is_named_instead_of_read_as_another(
    movable: MovableTesseract, language: str, sandbox: Sandbox
) -> None:
    assert has_tesseract()
    reader = Tesseract(LANGUAGES, sandbox.start)
    movable.forget(language)
    assert not has_tesseract()
    with pytest.raises(ProviderUnavailable, match=f"tesseract-ocr-{language}"):
        reader.recognise(shown("Hours"))


def test_positions_are_told_by_the_letters_where_their_own_data_is_missing(
    movable: MovableTesseract, sandbox: Sandbox
) -> None:
    movable.forget("osd")
    assert Tesseract(LANGUAGES, sandbox.start).recognise(shown(*LONG, turn=180)).split() == " ".join(LONG).split()


def test_a_program_that_is_gone_is_told(movable: MovableTesseract, sandbox: Sandbox) -> None:
    reader = Tesseract(LANGUAGES, sandbox.start)
    movable.remove()
    with pytest.raises(ProviderUnavailable, match="not there any more"):
        reader.recognise(shown("Hours"))
    assert not has_tesseract()


def test_the_data_it_is_asked_for_is_that_which_it_reads_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sandbox: Sandbox
) -> None:
    # Reading takes place in a process that gets none of our variables.
    monkeypatch.setenv("TESSDATA_PREFIX", str(tmp_path))
    assert subprocess.run(["tesseract", "--list-langs"], capture_output=True, text=True).stdout.count("\n") == 1
    assert has_tesseract()
    assert Tesseract(LANGUAGES, sandbox.start).recognise(shown("Hours")) == "Hours"
