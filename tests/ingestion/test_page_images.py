"""Pages as pictures: the places of quotes, and what is asked of files that nobody should trust."""

import asyncio
import io
import struct
import tempfile
from pathlib import Path
from typing import BinaryIO

import pytest
from PIL import Image
from pypdfium2 import PdfDocument

from ingestion.pages.images import OpenFile, PageImages
from ingestion.parsers.parsed import Limits
from ingestion.parsers.pdf import parse
from utils.errors import Overloaded, UnreadableDocument
from utils.sandbox.sandbox import Sandbox

PDF = (Path(__file__).parents[2] / "samples" / "pengaduan-dan-banding.pdf").read_bytes()
QUOTE = "Ombudsman Mahasiswa memberi nasihat secara rahasia dan tidak memihak."


def opener(data: bytes) -> OpenFile:
    """Opens a file of *data*."""

    def open_file() -> BinaryIO:
        file = tempfile.TemporaryFile()  # noqa: SIM115 - whoever calls it closes it
        file.write(data)
        file.seek(0)
        return file

    return open_file


def turned(data: bytes, degrees: int, crop: tuple[float, float, float, float] | None = None) -> bytes:
    """The same PDF with its first page turned, and cropped."""
    document, out = PdfDocument(data), io.BytesIO()
    document[0].set_rotation(degrees)
    if crop:
        document[0].set_cropbox(*crop)
    document.save(out)
    document.close()
    return out.getvalue()


def ink(picture: bytes, box: list[int]) -> float:
    """The share of dark pixels in a box of the picture."""
    with Image.open(io.BytesIO(picture)) as image:
        width, height = image.size
        left, top = box[0] * width // 1000, box[1] * height // 1000
        part = image.convert("L").crop((left, top, left + box[2] * width // 1000, top + box[3] * height // 1000))
        dark = part.point(lambda value: 255 if value < 128 else 0)
        return sum(dark.tobytes()) / 255 / max(1, len(dark.tobytes()))


@pytest.mark.parametrize(("degrees", "crop"), [(0, None), (90, None), (180, None), (0, (40.0, 100.0, 560.0, 841.0))])
async def test_the_places_of_a_quote_are_where_its_letters_are_drawn(
    degrees: int, crop: tuple[float, float, float, float] | None, sandbox: Sandbox
) -> None:
    data, images = turned(PDF, degrees, crop), PageImages(sandbox)
    found = await images.places(opener(data), 1, QUOTE, 0.3)
    picture = await images.png(opener(data), 1)
    assert (found.pages, found.width > found.height) == (2, degrees == 90)
    assert 1 <= len(found.places) <= 3
    for box in found.places:
        assert 0.05 < ink(picture, box) < 0.6


async def test_a_quote_is_found_although_the_text_that_was_read_joins_its_lines(sandbox: Sandbox) -> None:
    parsed, images = parse(PDF, Limits()), PageImages(sandbox)
    first = parsed.sections[0]
    whole = parsed.text[first.start : first.start + 500]
    assert len((await images.places(opener(PDF), 1, whole, 0.0)).places) >= 5
    assert (await images.places(opener(PDF), 1, "This stands nowhere in it.", 0.0)).places == []
    assert (await images.places(opener(PDF), 1, "", 0.0)).places == []
    partly = await images.places(opener(PDF), 1, f"{QUOTE}\nThis stands nowhere in it.", 0.0)
    assert len(partly.places) >= 1


@pytest.mark.parametrize(
    ("data", "page"),
    [(b"", 1), (b"no PDF", 1), (b"%PDF-1.7\n" + bytes(range(256)) * 50, 1), (PDF, 3), (PDF[: len(PDF) // 2], 2)],
)
async def test_a_page_that_cannot_be_drawn_is_refused(data: bytes, page: int, sandbox: Sandbox) -> None:
    with pytest.raises(UnreadableDocument):
        await PageImages(sandbox).png(opener(data), page)


async def test_a_page_that_takes_too_long_or_too_much_memory_is_refused_and_the_next_is_drawn(sandbox: Sandbox) -> None:
    with pytest.raises(UnreadableDocument):
        await PageImages(sandbox, timeout_s=0.001).png(opener(PDF), 1)
    with pytest.raises(UnreadableDocument):
        await PageImages(sandbox, memory_bytes=1_000_000).png(opener(PDF), 1)
    assert (await PageImages(sandbox).png(opener(PDF), 2)).startswith(b"\x89PNG")


async def test_a_page_as_large_as_a_field_becomes_no_larger_picture(sandbox: Sandbox) -> None:
    document, out = PdfDocument.new(), io.BytesIO()
    document.new_page(14_400, 144_000)
    document.save(out)
    picture = await PageImages(sandbox).png(opener(out.getvalue()), 1)
    width, height = struct.unpack(">II", picture[16:24])
    assert (width <= 1240, height <= 4000) == (True, True)


async def test_who_comes_when_too_many_wait_is_told_so(sandbox: Sandbox) -> None:
    images = PageImages(sandbox, timeout_s=5)
    outcomes = await asyncio.gather(*(images.png(opener(b"no PDF"), 1) for _ in range(23)), return_exceptions=True)
    kinds = [type(outcome) for outcome in outcomes]
    assert (kinds.count(Overloaded), kinds.count(UnreadableDocument)) == (3, 20)
