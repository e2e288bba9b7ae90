"""Pictures of text: photographs and scans, a page a picture."""

import io
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing

import numpy as np
from PIL import Image, ImageOps

from ingestion.parsers.parsed import LONGEST_SIDE, Limits, ParsedDocument, TextBuilder
from ingestion.parsers.reflow import iter_paragraphs
from utils.errors import UnreadableDocument
from utils.ports import Picture

# MPO is what some cameras put into a JPEG: two pictures of the same.
FORMATS = {"PNG": "image/png", "JPEG": "image/jpeg", "MPO": "image/jpeg", "TIFF": "image/tiff", "WEBP": "image/webp"}
DAMAGED = "It is damaged, or not a complete picture: save or scan it again."


def parse(data: bytes, limits: Limits, recognised: Mapping[int, str]) -> ParsedDocument:
    """The text that was *recognised* on each page; pages that were not looked at yet are unread."""
    builder = TextBuilder(limits)
    with closing(_open(data, limits)) as image:
        media_type, pages = FORMATS[image.format or "JPEG"], getattr(image, "n_frames", 1)
    if pages > limits.pages:
        raise UnreadableDocument(f"It has {pages:,} pages, more than {limits.pages:,}: split it.")
    for number in range(1, pages + 1):
        builder.begin_page(number)
        if number not in recognised:
            builder.unread(number)
        for paragraph in iter_paragraphs(recognised.get(number, "")):
            builder.block(paragraph)
    return builder.build(title=None, media_type=media_type)


def iter_pictures(data: bytes, limits: Limits, pages: Sequence[int]) -> Iterator[Picture]:
    """The given pages as pictures, one after the other."""
    with closing(_open(data, limits)) as image:
        for number in pages:
            image.seek(number - 1)
            _check_size(image, limits)
            yield _convert_image(image)


def _open(data: bytes, limits: Limits) -> Image.Image:
    Image.init()  # all formats, not the most frequent ones alone
    warnings.simplefilter("ignore")  # a picture is refused by our own limit, and odd metadata is passed over
    try:
        image = Image.open(io.BytesIO(data), formats=("PNG", "JPEG", "TIFF", "WEBP"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as exc:
        raise UnreadableDocument(DAMAGED) from exc
    _check_size(image, limits)
    return image


def _check_size(image: Image.Image, limits: Limits) -> None:
    if image.width * image.height > limits.pixels:
        size, most = f"{image.width:,} × {image.height:,}", f"{limits.pixels / 1e6:g} million"
        raise UnreadableDocument(f"It has {size} pixels, more than {most}: make it smaller.")


def _convert_image(image: Image.Image) -> Picture:
    """The picture upright, on white, and no larger than letters need."""
    try:
        image.draft("RGB", (LONGEST_SIDE, LONGEST_SIDE))
        upright = ImageOps.exif_transpose(image.copy())
        upright.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
        if "A" in upright.getbands() or "transparency" in upright.info:
            layer = upright.convert("RGBA")
            upright = Image.new("RGBA", layer.size, "white")
            upright.alpha_composite(layer)
        if upright.mode.startswith(("I", "F")):  # more than 8 bits a pixel
            grey = np.asarray(upright, dtype=np.float32)
            upright = Image.fromarray((grey / max(float(grey.max()), 1.0) * 255).astype(np.uint8))
        return np.asarray(upright.convert("RGB"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as exc:
        raise UnreadableDocument(DAMAGED) from exc
