"""Pages as pictures: the places of quotes, and what is asked of files that nobody should trust."""

import asyncio
import hashlib
import io
import struct
import tempfile
import threading
from pathlib import Path
from typing import BinaryIO

import pytest
from PIL import Image
from pypdfium2 import PdfDocument

from ingestion.pages.images import PageImages, PdfFile
from ingestion.parsers.parsed import Limits
from ingestion.parsers.pdf import parse
from utils.errors import Overloaded, UnreadableDocument
from utils.sandbox.sandbox import Sandbox

PDF = (Path(__file__).parents[2] / "samples" / "pengaduan-dan-banding.pdf").read_bytes()
QUOTE = "Ombudsman Mahasiswa memberi nasihat secara rahasia dan tidak memihak."


def pdf_of(data: bytes, tenant_id: str = "acme") -> PdfFile:
    """A file of *data*."""

    def open_file() -> BinaryIO:
        file = tempfile.TemporaryFile()  # noqa: SIM115 - whoever calls it closes it
        file.write(data)
        file.seek(0)
        return file

    return PdfFile(tenant_id, hashlib.sha256(data).hexdigest(), open_file)


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
    found = await images.find_places(pdf_of(data), 1, QUOTE, 0.3)
    picture = await images.render_png(pdf_of(data), 1)
    assert (found.pages, found.width > found.height) == (2, degrees == 90)
    assert 1 <= len(found.places) <= 3
    for box in found.places:
        assert 0.05 < ink(picture, box) < 0.6


async def test_a_quote_is_found_although_the_text_that_was_read_joins_its_lines(sandbox: Sandbox) -> None:
    parsed, images = parse(PDF, Limits(), {}), PageImages(sandbox)
    first = parsed.sections[0]
    whole = parsed.text[first.start : first.start + 500]
    assert len((await images.find_places(pdf_of(PDF), 1, whole, 0.0)).places) >= 5
    assert (await images.find_places(pdf_of(PDF), 1, "This stands nowhere in it.", 0.0)).places == []
    assert (await images.find_places(pdf_of(PDF), 1, "", 0.0)).places == []
    partly = await images.find_places(pdf_of(PDF), 1, f"{QUOTE}\nThis stands nowhere in it.", 0.0)
    assert len(partly.places) >= 1


@pytest.mark.parametrize(
    ("data", "page"),
    [(b"", 1), (b"no PDF", 1), (b"%PDF-1.7\n" + bytes(range(256)) * 50, 1), (PDF, 3), (PDF[: len(PDF) // 2], 2)],
)
async def test_a_page_that_cannot_be_drawn_is_refused(data: bytes, page: int, sandbox: Sandbox) -> None:
    with pytest.raises(UnreadableDocument):
        await PageImages(sandbox).render_png(pdf_of(data), page)


async def test_a_page_that_takes_too_long_or_too_much_memory_is_refused_and_the_next_is_drawn(sandbox: Sandbox) -> None:
    with pytest.raises(UnreadableDocument):
        await PageImages(sandbox, timeout_s=0.001).render_png(pdf_of(PDF), 1)
    with pytest.raises(UnreadableDocument):
        await PageImages(sandbox, memory_bytes=1_000_000).render_png(pdf_of(PDF), 1)
    assert (await PageImages(sandbox).render_png(pdf_of(PDF), 2)).startswith(b"\x89PNG")


async def test_a_page_as_large_as_a_field_becomes_no_larger_picture(sandbox: Sandbox) -> None:
    document, out = PdfDocument.new(), io.BytesIO()
    document.new_page(14_400, 144_000)
    document.save(out)
    picture = await PageImages(sandbox).render_png(pdf_of(out.getvalue()), 1)
    width, height = struct.unpack(">II", picture[16:24])
    assert (width <= 1240, height <= 4000) == (True, True)


async def test_who_comes_when_too_many_wait_is_told_so_and_other_tenants_find_room(sandbox: Sandbox) -> None:
    images = PageImages(sandbox, timeout_s=5)
    ours = [images.render_png(pdf_of(b"no PDF"), 1) for _ in range(23)]
    theirs = images.render_png(pdf_of(PDF, "globex"), 1)
    *outcomes, picture = await asyncio.gather(*ours, theirs, return_exceptions=True)
    kinds = [type(outcome) for outcome in outcomes]
    assert (kinds.count(Overloaded), kinds.count(UnreadableDocument)) == (13, 10)
    assert isinstance(picture, bytes)


def held(opened: list[str], go_on: threading.Event, tenant_id: str, name: str) -> PdfFile:
    """A file that is not a PDF, and whose reader waits for *go_on* when it has opened it."""

    def open_file() -> BinaryIO:
        opened.append(name)
        go_on.wait(20)
        return pdf_of(b"no PDF").open()

    return PdfFile(tenant_id, name, open_file)


async def test_a_tenant_never_has_all_the_places_where_pages_are_drawn(sandbox: Sandbox) -> None:
    images, opened, go_on = PageImages(sandbox), list[str](), threading.Event()
    slow = [asyncio.create_task(images.render_png(held(opened, go_on, "acme", str(number)), 1)) for number in range(5)]
    while not opened:
        await asyncio.sleep(0.005)
    assert (await images.render_png(pdf_of(PDF, "globex"), 1)).startswith(b"\x89PNG")
    assert opened == ["0"]
    go_on.set()
    await asyncio.gather(*slow, return_exceptions=True)
    assert opened == ["0", "1", "2", "3", "4"]


async def test_who_leaves_gives_up_a_place_in_the_queue_but_none_where_a_page_is_still_drawn(sandbox: Sandbox) -> None:
    images, opened, go_on = PageImages(sandbox), list[str](), threading.Event()
    slow = [asyncio.create_task(images.render_png(held(opened, go_on, "acme", str(number)), 1)) for number in range(3)]
    while not opened:
        await asyncio.sleep(0.005)
    for task in slow[:2]:
        task.cancel()
    await asyncio.wait(slow[:2])
    for _ in range(10):
        await asyncio.sleep(0)
    assert opened == ["0"]
    go_on.set()
    await asyncio.gather(*slow, return_exceptions=True)
    assert opened == ["0", "2"]


async def test_a_page_that_could_not_be_drawn_is_not_tried_again(sandbox: Sandbox) -> None:
    images, opened, go_on = PageImages(sandbox), list[str](), threading.Event()
    go_on.set()
    for tenant_id, page in (("acme", 1), ("acme", 1), ("acme", 2), ("globex", 1)):
        with pytest.raises(UnreadableDocument):
            await images.render_png(held(opened, go_on, tenant_id, "a"), page)
    with pytest.raises(UnreadableDocument):
        await images.find_places(held(opened, go_on, "acme", "a"), 1, "any", 0.0)
    assert len(opened) == 3
