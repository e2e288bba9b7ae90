"""Presentations: a page a slide, under its title, with tables, speaker's notes and comments."""

from collections.abc import Iterator

from lxml import etree

from ingestion.parsers.archive import Archive
from ingestion.parsers.figures import add_figures
from ingestion.parsers.ooxml import (
    find_main_part,
    find_related,
    get_attribute,
    get_local_name,
    iter_children,
    iter_descendants,
    list_relations,
)
from ingestion.parsers.parsed import Limits, ParsedDocument, TextBuilder, join_lines
from utils.errors import UnreadableDocument

MEDIA_TYPE = "application/vnd.openxmlformats-officedocument.presentationml.presentation"
TITLES = ("title", "ctrTitle")
TRUE = ("1", "true")
# What repeats on every slide: number, date, footer, header; and the picture of the slide on its notes page.
FURNITURE = ("sldNum", "dt", "ftr", "hdr", "sldImg")


def parse(data: bytes, limits: Limits) -> ParsedDocument:
    """The presentation; slides that are hidden when it is shown are read all the same."""
    archive = Archive.from_bytes(data, limits, "PPTX")
    part = find_main_part(archive)
    slides = _list_slides(archive, part)
    if len(slides) > limits.pages:
        raise UnreadableDocument(f"It has {len(slides):,} slides, more than {limits.pages:,}: split it.")
    builder = TextBuilder(limits)
    for number, slide in enumerate(slides, 1):
        builder.begin_page(number)
        builder.leave(1)
        try:
            root = archive.read_xml(slide)
        except UnreadableDocument:
            if len(slides) == 1:
                raise
            continue  # the other slides are read all the same
        _slide(builder, root)
        add_figures(builder, archive, slide)
        _add_notes(builder, archive, slide)
    return builder.build(title=builder.find_first_heading(), media_type=MEDIA_TYPE)


def _list_slides(archive: Archive, part: str) -> list[str]:
    """The slides' parts, in the order in which they are shown."""
    targets = {relation.relation_id: relation.target for relation in list_relations(archive, part)}
    entries = (
        entry for listed in iter_descendants(archive.read_xml(part), "sldIdLst") for entry in iter_children(listed)
    )
    ids = (next((value for key, value in entry.attrib.items() if key.endswith("}id")), "") for entry in entries)
    return [target for slide_id in ids if (target := targets.get(slide_id)) and target in archive]


def _slide(builder: TextBuilder, root: etree._Element) -> None:
    tree = next(iter_descendants(root, "spTree"), None)
    shapes = [] if tree is None else sorted(_iter_shapes(tree), key=lambda shape: _get_placeholder(shape) not in TITLES)
    for shape in shapes:
        if _get_placeholder(shape) in FURNITURE:
            continue
        if _get_placeholder(shape) in TITLES:
            builder.add_heading(1, " ".join(_iter_paragraphs(shape)))
        elif any(True for _ in iter_descendants(shape, "tbl")):
            for table in iter_descendants(shape, "tbl"):
                builder.add_lines(_iter_rows(table))
        else:
            builder.add_lines(_list_paragraphs(shape))


def _iter_shapes(tree: etree._Element) -> Iterator[etree._Element]:
    """Shapes, tables and diagrams in reading order, which is that in which they are listed; groups are opened."""
    for shape in iter_children(tree):
        if get_local_name(shape) == "grpSp":
            yield from _iter_shapes(shape)
        elif get_local_name(shape) in ("sp", "graphicFrame", "cxnSp", "contentPart") or any(
            True for _ in iter_descendants(shape, "txBody")
        ):
            yield shape


def _get_placeholder(shape: etree._Element) -> str | None:
    """The role of a shape in the slide's layout, such as "title" or "body"; None for one without."""
    mark = next(iter_descendants(shape, "ph"), None)
    return (get_attribute(mark, "type") or "body") if mark is not None else None


def _list_paragraphs(shape: etree._Element) -> Iterator[str]:
    """The shape's paragraphs, a line each; those of a body with several are the items of a list."""
    texts = list(_iter_paragraphs(shape))
    is_list = _get_placeholder(shape) == "body" and len(texts) > 1
    return (f"- {text}" if is_list else text for text in texts)


def _iter_paragraphs(element: etree._Element) -> Iterator[str]:
    for body in iter_descendants(element, "txBody"):
        for paragraph in iter_descendants(body, "p"):
            text = join_lines("".join(_iter_pieces(paragraph)))
            if text:
                yield text


def _iter_pieces(element: etree._Element) -> Iterator[str]:
    for child in iter_children(element):
        if get_local_name(child) == "t":
            yield child.text or ""
        elif get_local_name(child) == "br":
            yield " "
        else:
            yield from _iter_pieces(child)


def _iter_rows(table: etree._Element) -> Iterator[str]:
    """A line a row. A cell that spans columns comes once, one that spans rows in each of them."""
    above: dict[int, str] = {}
    for row in iter_descendants(table, "tr"):
        texts = []
        for column, cell in enumerate(iter_descendants(row, "tc")):
            if cell.get("vMerge") not in TRUE:
                above[column] = " ".join(_iter_paragraphs(cell))
            if cell.get("hMerge") not in TRUE:
                texts.append(above.get(column, ""))
        if any(texts):
            yield " | ".join(texts)


def _add_notes(builder: TextBuilder, archive: Archive, slide: str) -> None:
    """Speaker's notes and comments."""
    for notes in find_related(archive, slide, "notesSlide"):
        for tree in iter_descendants(notes, "spTree"):
            for shape in _iter_shapes(tree):
                if _get_placeholder(shape) not in FURNITURE:
                    builder.add_lines(_iter_paragraphs(shape))
    for comments in find_related(archive, slide, "comments"):
        for text in comments.iter("{*}text", "{*}txBody"):
            builder.block(join_lines("".join(text.itertext())))
