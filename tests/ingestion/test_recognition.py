"""Scanned pages by each text recognition, and what is told when Tesseract goes away or loses a language."""

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from domain.db import Database
from ingestion.parsers.parsed import Limits
from ingestion.reader import DocumentReader
from providers.ocr.chosen import find_available
from tests.domain.records import ACME
from tests.ingestion.files import joined, pdf, picture, pictures
from tests.ingestion.workers import workers_of
from tests.ocr import MovableTesseract, without_rapidocr
from tests.reading import NO_CHECK, load_files, parsing

pytestmark = pytest.mark.long

LINES = ("The library opens at nine in the morning", "Fees are due in March of every year")
ADVICE = "Tesseract with its data for eng, ind, spa"


@pytest.fixture
def movable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MovableTesseract]:
    """Tesseract as the recognition of this process, until it is taken away."""
    without_rapidocr(monkeypatch)
    (tmp_path / "programs").mkdir()
    yield MovableTesseract(tmp_path / "programs", monkeypatch)
    find_available.cache_clear()


def saved(image: Image.Image, kind: str) -> bytes:
    file = io.BytesIO()
    image.save(file, kind)
    return file.getvalue()


def noise(height: int, width: int) -> Image.Image:
    """Black and white points, which keep any recognition busy."""
    return Image.fromarray(np.random.default_rng(1).integers(0, 2, (height, width), dtype=np.uint8) * 255)


@contextmanager
def reader(limits: Limits | None = None) -> Iterator[DocumentReader]:
    with parsing(limits) as parser:
        yield DocumentReader(parser, NO_CHECK)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP"])
@pytest.mark.usefixtures("recognition")
def test_pictures_of_every_format_are_read(kind: str) -> None:
    with reader() as reading:
        content = reading.read_whole(picture(*LINES, kind=kind), f"a.{kind.lower()}", "a")
    assert content.chunks[0].text.split() == " ".join(LINES).split()


@pytest.mark.usefixtures("recognition")
def test_typed_scanned_turned_and_empty_pages_stand_in_their_order() -> None:
    blank = Image.new("L", (900, 400), 255)
    turned = Image.open(io.BytesIO(picture(*LINES, turn=180)))
    data = joined(pdf(["Typed."]), saved(turned, "PDF"), saved(blank, "PDF"), pictures(["Scanned"], kind="PDF"))
    with reader() as reading:
        content = reading.read_whole(data, "a.pdf", "a")
    said = [(chunk.page, chunk.text.split()) for chunk in content.chunks]
    assert said == [(1, ["Typed."]), (2, " ".join(LINES).split()), (4, ["Scanned"])]
    assert content.details["unread_pages"] == []


@pytest.mark.usefixtures("recognition")
def test_a_huge_picture_is_read_and_the_limits_hold() -> None:
    small = Image.open(io.BytesIO(picture(*LINES)))
    huge = small.resize((small.width * 9, small.height * 9)).convert("RGB")
    with reader() as reading:
        content = reading.read_whole(saved(huge, "PNG"), "a.png", "a")
        assert content.chunks[0].text.split() == " ".join(LINES).split()
        crowded = joined(saved(noise(2600, 2600), "PDF"), pictures(LINES, kind="PDF"))
        content = reading.read_whole(crowded, "a.pdf", "a")
        assert " ".join(content.chunks[-1].text.split()).endswith(" ".join(LINES))
        assert content.details["unread_pages"] == []


@pytest.mark.usefixtures("movable")
def test_a_program_that_takes_too_long_is_ended_with_the_process_that_waits_for_it() -> None:
    data = joined(pdf(["Typed."]), saved(noise(2600, 2600), "PDF"))
    with parsing(Limits(page_timeout_s=1.0)) as parser:
        whole = parser.recognise(data, "a.pdf", [2])
        assert (whole.text, whole.unread_pages) == ("Typed.", (2,))
        assert workers_of(os.getpid()) == []


def test_a_program_that_vanishes_leaves_pages_that_say_what_to_do(
    movable: MovableTesseract, database: Database, tmp_path: Path
) -> None:
    data = joined(pdf(["Typed."]), pictures(["Scanned"], ["Too"], kind="PDF"))
    with reader() as reading:
        before = reading.read_whole(data, "a.pdf", "a")
        assert (before.details["unread_pages"], reading.describe_unread(before.details)) == ([], None)
        movable.remove()
        after = reading.read_whole(data, "a.pdf", "a")
        note = reading.describe_unread(after.details)
    assert [chunk.text for chunk in after.chunks] == ["Typed."]
    # Not recognised: the page is read when the document is loaded the next time with a recognition.
    assert (after.details["unread_pages"], after.details["recognised"]) == ([2, 3], False)
    assert note is not None
    assert note.startswith("Pages 2–3 not read.")
    assert ADVICE in note
    (tmp_path / "a.pdf").write_bytes(data)
    assert load_files(database, ACME, [tmp_path / "a.pdf"]).unread == [("a.pdf", note)]


def test_pages_wait_for_a_language_that_is_missing_and_are_read_once_it_is_there(
    movable: MovableTesseract, database: Database, tmp_path: Path
) -> None:
    (tmp_path / "a.png").write_bytes(picture(*LINES))
    (tmp_path / "b.pdf").write_bytes(joined(pdf(["Typed."]), pictures(["Scanned"], kind="PDF")))
    files = [tmp_path / "a.png", tmp_path / "b.pdf"]
    assert find_available() == "tesseract"
    movable.forget("ind")
    incomplete = load_files(database, ACME, files)
    ((failed, reason),) = incomplete.failed
    ((unread, note),) = incomplete.unread
    assert (failed, unread) == ("a.png", "b.pdf")
    assert ADVICE in reason
    assert ADVICE in note
    movable.learn("ind")
    find_available.cache_clear()  # as in the process that is started after it
    complete = load_files(database, ACME, files)
    assert (complete.failed, complete.unread) == ([], [])
