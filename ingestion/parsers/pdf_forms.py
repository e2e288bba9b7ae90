"""Filled form fields on a page of a PDF (AcroForm), each with the label that a reader sees."""

import re
from collections.abc import Callable, Iterator, Sequence
from ctypes import byref, c_ushort, sizeof
from dataclasses import dataclass

from pypdfium2 import PdfPage, PdfTextPage, raw

from ingestion.parsers.parsed import clean, join_lines
from ingestion.parsers.pdf_page import Box, read_text

MAX_FIELDS = 2_000  # of a page
LONGEST_LABEL, LONGEST_VALUE, LONGEST_BYTES = 200, 10_000, 100_000  # characters, and bytes of either
BESIDE, ABOVE = 220.0, 16.0  # points from a field to the end of its label
PASSWORD = 1 << 13  # flag of a text field (PDF 32000-1, table 228)
TEXTS = (raw.FPDF_FORMFIELD_TEXTFIELD, raw.FPDF_FORMFIELD_COMBOBOX, raw.FPDF_FORMFIELD_LISTBOX)
TICKS = (raw.FPDF_FORMFIELD_CHECKBOX, raw.FPDF_FORMFIELD_RADIOBUTTON)
TICKED = "yes"
_GAP = re.compile(r"\s{3,}|\n|[_.]{3,}")
_INDEX = re.compile(r"\[\d+\]")


@dataclass(frozen=True, slots=True)
class _Field:
    """A form field: *label* is its name for people, *value* is empty where nothing was filled in."""

    box: Box
    label: str
    name: str
    value: str
    is_tick: bool


def read_fields(page: PdfPage) -> list[str]:
    """The filled fields as "label: value", in the order in which the file has them; ticked boxes as "label: yes"."""
    fields = list(_find_fields(page))
    if not any(field.value for field in fields):
        return []
    textpage = page.get_textpage()
    try:
        pairs = ((field, _find_label(field, fields, textpage)) for field in fields if field.value)
        return list(dict.fromkeys(f"{label}: {field.value}" if label else field.value for field, label in pairs))
    finally:
        textpage.close()


def _find_fields(page: PdfPage) -> Iterator[_Field]:
    for index in range(min(raw.FPDFPage_GetAnnotCount(page), MAX_FIELDS)):
        annotation = raw.FPDFPage_GetAnnot(page, index)
        if not annotation:
            continue
        try:
            if raw.FPDFAnnot_GetSubtype(annotation) == raw.FPDF_ANNOT_WIDGET:
                yield from _read_field(page.formenv, annotation)
        finally:
            raw.FPDFPage_CloseAnnot(annotation)


def _read_field(form: object, annotation: object) -> Iterator[_Field]:
    kind, rect = raw.FPDFAnnot_GetFormFieldType(form, annotation), raw.FS_RECTF()
    if kind not in TEXTS + TICKS or not raw.FPDFAnnot_GetRect(annotation, byref(rect)):
        return
    value = ""
    if kind in TICKS:
        value = TICKED if raw.FPDFAnnot_IsChecked(form, annotation) else ""
    elif not raw.FPDFAnnot_GetFormFieldFlags(form, annotation) & PASSWORD:
        value = clean(_read_string(raw.FPDFAnnot_GetFormFieldValue, form, annotation)).strip()[:LONGEST_VALUE]
    label = join_lines(clean(_read_string(raw.FPDFAnnot_GetFormFieldAlternateName, form, annotation)))
    name = _read_string(raw.FPDFAnnot_GetFormFieldName, form, annotation)
    yield _Field(Box(rect.left, rect.bottom, rect.right, rect.top), label, name, value, kind in TICKS)


def _read_string(function: Callable[..., int], form: object, annotation: object) -> str:
    """The text that *function* of PDFium writes, UTF-16 with a NUL at the end; without a buffer it gives the size."""
    size = function(form, annotation, None, 0)
    if not sizeof(c_ushort) < size <= LONGEST_BYTES:
        return ""
    buffer = (c_ushort * (size // sizeof(c_ushort)))()
    function(form, annotation, buffer, size)
    return bytes(buffer).decode("utf-16-le", "replace").rstrip("\0")


def _find_label(field: _Field, fields: Sequence[_Field], textpage: PdfTextPage) -> str:
    """Its name for people, else the text beside or above it, else its name in the file."""
    return (field.label or _find_beside(field, fields, textpage) or _split_into_words(field.name))[:LONGEST_LABEL]


def _find_beside(field: _Field, fields: Sequence[_Field], textpage: PdfTextPage) -> str:
    """The text before a field, after one that is ticked, or above it, as far as the next field."""
    box = field.box
    row = [
        other.box
        for other in fields
        if other is not field and other.box.bottom < box.top and other.box.top > box.bottom
    ]
    left = max([box.left - BESIDE, *(other.right for other in row if other.right <= box.left)])
    right = min([box.right + BESIDE, *(other.left for other in row if other.left >= box.right)])
    before = Box(left, box.bottom, box.left, box.top)
    after = Box(box.right, box.bottom, right, box.top)
    above = Box(box.left - 1, box.top, box.right, box.top + ABOVE)
    for area, closest in ((after, 0), (before, -1)) if field.is_tick else ((before, -1), (above, -1)):
        parts = [part.strip(" :*") for part in _GAP.split(read_text(textpage, area)) if part.strip(" :*")]
        if parts and any(map(str.isalnum, parts[closest])):
            return join_lines(parts[closest])
    return ""


def _split_into_words(name: str) -> str:
    """The last part of a field's name, which programs write: `form[0].applicant_name[0]` is "applicant name"."""
    return join_lines(_INDEX.sub("", name).rpartition(".")[2].replace("_", " "))
