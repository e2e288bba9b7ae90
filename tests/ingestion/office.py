"""Office files and e-books for tests, made here part by part: what their programs write and python-docx does not."""

import io
import struct
import zipfile
from collections.abc import Iterable, Mapping, Sequence

WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
STRICT_WORD = "http://purl.oclc.org/ooxml/wordprocessingml/main"
SLIDE = "http://schemas.openxmlformats.org/presentationml/2006/main"
DRAWING = "http://schemas.openxmlformats.org/drawingml/2006/main"
RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006/relationships"
DIAGRAM = "http://schemas.openxmlformats.org/drawingml/2006/diagram"
OFFICE = "urn:oasis:names:tc:opendocument:xmlns:office:1.0"
TEXT = "urn:oasis:names:tc:opendocument:xmlns:text:1.0"
TABLE = "urn:oasis:names:tc:opendocument:xmlns:table:1.0"
DRAW = "urn:oasis:names:tc:opendocument:xmlns:drawing:1.0"
SHOW = "urn:oasis:names:tc:opendocument:xmlns:presentation:1.0"
MANIFEST = "urn:oasis:names:tc:opendocument:xmlns:manifest:1.0"
SECTOR = 512
MIN_STREAM = 4096  # shorter ones would have to go into a stream of their own


def zipped(parts: Mapping[str, str | bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    """An archive of parts, in their order."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, part in parts.items():
            archive.writestr(name, part)
    return file.getvalue()


def contents(data: bytes) -> dict[str, bytes]:
    """The parts of an archive."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def word_parts(body: str, *, namespace: str = WORD, **others: str) -> bytes:
    """A DOCX whose body is XML with the prefix `w`; *others* are parts by kind, such as `footnotes`."""
    kinds = {kind: f"{kind}.xml" for kind in others}
    return zipped(
        {
            "_rels/.rels": _relations({"officeDocument": "word/document.xml"}),
            "word/document.xml": f'<w:document xmlns:w="{namespace}"><w:body>{body}</w:body></w:document>',
            "word/_rels/document.xml.rels": _relations(kinds),
            **{f"word/{kind}.xml": f'<w:x xmlns:w="{namespace}">{text}</w:x>' for kind, text in others.items()},
        }
    )


def slides(*shown: str, notes: str = "") -> bytes:
    """A PPTX of slides whose shapes are XML with the prefixes `p` and `a`; *notes* hang on the first."""
    listed = "".join(f'<p:sldId r:id="r{number}"/>' for number in range(len(shown)))
    tops = f'xmlns:p="{SLIDE}" xmlns:a="{DRAWING}" xmlns:r="{RELATIONS}"'
    parts = {
        "_rels/.rels": _relations({"officeDocument": "ppt/presentation.xml"}),
        "ppt/presentation.xml": f"<p:presentation {tops}><p:sldIdLst>{listed}</p:sldIdLst></p:presentation>",
        "ppt/_rels/presentation.xml.rels": _package(
            (f"r{number}", "slide", f"slides/slide{number}.xml") for number in range(len(shown))
        ),
        "ppt/slides/_rels/slide0.xml.rels": _relations({"notesSlide": "../notesSlides/notes0.xml"}),
        "ppt/notesSlides/notes0.xml": f"<p:notes {tops}><p:cSld><p:spTree>{notes}</p:spTree></p:cSld></p:notes>",
    }
    for number, shapes in enumerate(shown):
        parts[f"ppt/slides/slide{number}.xml"] = f"<p:sld {tops}><p:cSld><p:spTree>{shapes}</p:spTree></p:cSld></p:sld>"
    return zipped(parts)


def diagram(*points: tuple[str, str, str]) -> str:
    """The data of a diagram, as XML: points with their name, the one they are below, and their text."""
    listed = "".join(
        f'<d:pt modelId="{name}"><d:t><a:p><a:r><a:t>{text}</a:t></a:r></a:p></d:t></d:pt>' for name, _, text in points
    )
    drawn = '<d:pt modelId="drawn" type="pres"><d:t><a:p><a:r><a:t>drawn</a:t></a:r></a:p></d:t></d:pt>'
    connections = "".join(
        f'<d:cxn modelId="c{name}" srcId="{above}" destId="{name}" srcOrd="{place}"/>'
        for place, (name, above, _) in reversed(list(enumerate(points)))
    )
    return (
        f'<d:dataModel xmlns:d="{DIAGRAM}" xmlns:a="{DRAWING}"><d:ptLst><d:pt modelId="top" type="doc"/>{listed}{drawn}'
        f'</d:ptLst><d:cxnLst>{connections}<d:cxn type="presOf" srcId="top" destId="drawn"/></d:cxnLst></d:dataModel>'
    )


def with_part(data: bytes, part: str, kind: str, xml: str) -> bytes:
    """The archive with a further part `drawn.xml`, to which *part* has a relation of *kind* with the id `drawn`."""
    parts = contents(data)
    folder, _, name = part.rpartition("/")
    path = f"{folder}/_rels/{name}.rels"
    relation = f'<Relationship Id="drawn" Type="{RELATIONS}/{kind}" Target="/drawn.xml"/></Relationships>'
    former = parts.get(path, _package([]).encode()).decode()
    return zipped({**parts, path: former.replace("</Relationships>", relation), "drawn.xml": xml})


def shape(*paragraphs: str, kind: str | None = None) -> str:
    """A shape of a slide with its text; *kind* is that of a placeholder."""
    mark = f'<p:nvSpPr><p:nvPr><p:ph type="{kind}"/></p:nvPr></p:nvSpPr>' if kind else ""
    texts = "".join(f"<a:p><a:r><a:t>{text}</a:t></a:r></a:p>" for text in paragraphs)
    return f"<p:sp>{mark}<p:txBody>{texts}</p:txBody></p:sp>"


def open_document(kind: str, content: str, *, is_locked: bool = False) -> bytes:
    """An OpenDocument file of *kind* "text", "spreadsheet" or "presentation"; *content* is XML."""
    tops = f'xmlns:office="{OFFICE}" xmlns:text="{TEXT}" xmlns:table="{TABLE}" xmlns:draw="{DRAW}"'
    entry = f"<m:file-entry>{'<m:encryption-data/>' if is_locked else ''}</m:file-entry>"
    return zipped(
        {
            "mimetype": f"application/vnd.oasis.opendocument.{kind}",
            "META-INF/manifest.xml": f'<m:manifest xmlns:m="{MANIFEST}">{entry}</m:manifest>',
            "content.xml": f'<office:document-content {tops} xmlns:presentation="{SHOW}"><office:body>'
            f"<office:{kind}>{content}</office:{kind}></office:body></office:document-content>",
        }
    )


def book(*chapters: str, locked: Sequence[str] = ()) -> bytes:
    """An EPUB of chapters in HTML, with those named in *locked* (`c0.xhtml`, …) encrypted."""
    items = "".join(
        f'<item id="c{number}" href="c{number}.xhtml" media-type="application/xhtml+xml"/>'
        for number in range(len(chapters))
    )
    spine = "".join(f'<itemref idref="c{number}"/>' for number in reversed(range(len(chapters))))
    references = "".join(f'<CipherReference URI="OEBPS/{name}"/>' for name in locked)
    return zipped(
        {
            "mimetype": "application/epub+zip",
            "META-INF/container.xml": '<container><rootfile full-path="OEBPS/book.opf"/></container>',
            "META-INF/encryption.xml": f"<encryption>{references}</encryption>",
            "OEBPS/book.opf": '<package xmlns:dc="http://purl.org/dc/elements/1.1/"><metadata><dc:title>Tides</dc:title>'
            f"</metadata><manifest>{items}</manifest><spine>{spine}</spine></package>",
            **{f"OEBPS/c{number}.xhtml": f"<html><body>{page}</body></html>" for number, page in enumerate(chapters)},
        }
    )


def compound(streams: Mapping[str, bytes]) -> bytes:
    """A compound file ([MS-CFB]) with streams at its root or in one folder each (`folder/name`), padded with spaces."""
    folders = sorted({path.split("/")[0] for path in streams if "/" in path})
    entries = [("Root Entry", 5, b"")] + [(folder, 1, b"") for folder in folders]
    above = [0] + [0] * len(folders)
    for path, data in streams.items():
        folder, _, name = path.rpartition("/")
        entries.append((name, 2, data.ljust(MIN_STREAM)))
        above.append(folders.index(folder) + 1 if folder else 0)
    directory_sectors = -(-len(entries) * 128 // SECTOR)
    chains, start = [list(range(1, 1 + directory_sectors))], 1 + directory_sectors
    starts = {}
    for number, (_, _, data) in enumerate(entries):
        if data:
            length = -(-len(data) // SECTOR)
            starts[number] = start
            chains.append(list(range(start, start + length)))
            start += length
    table = [0xFFFFFFFD] + [0xFFFFFFFF] * 127
    for chain in chains:
        for one, following in zip(chain, [*chain[1:], 0xFFFFFFFE], strict=True):
            table[one] = following
    header = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(16) + struct.pack("<HHHHH6x", 0x3E, 3, 0xFFFE, 9, 6)
    header += struct.pack("<9I", 0, 1, 1, 0, MIN_STREAM, 0xFFFFFFFE, 0, 0xFFFFFFFE, 0)
    header += struct.pack("<109I", 0, *[0xFFFFFFFF] * 108)
    directory = b"".join(_entry(number, entries, above, starts) for number in range(len(entries)))
    body = b"".join(data + bytes(-len(data) % SECTOR) for _, _, data in entries)
    return header + struct.pack("<128I", *table) + directory.ljust(directory_sectors * SECTOR, b"\0") + body


def _entry(
    number: int, entries: Sequence[tuple[str, int, bytes]], above: Sequence[int], starts: Mapping[int, int]
) -> bytes:
    """A directory entry; the children of a folder hang on each other to the right."""
    name, kind, data = entries[number]
    none = 0xFFFFFFFF
    brothers = [one for one in range(1, len(entries)) if above[one] == above[number] and one > number]
    children = [one for one in range(1, len(entries)) if above[one] == number] if kind != 2 else []
    wide = (name + "\0").encode("utf-16-le")
    right = brothers[0] if brothers and number else none
    head = wide.ljust(64, b"\0") + struct.pack("<HBBIII", len(wide), kind, 1, none, right, (children or [none])[0])
    return head + bytes(36) + struct.pack("<IQ", starts.get(number, 0xFFFFFFFE), len(data))


def _relations(targets: Mapping[str, str]) -> str:
    return _package((f"r-{kind}", kind, target) for kind, target in targets.items())


def _package(entries: Iterable[tuple[str, str, str]]) -> str:
    rows = "".join(
        f'<Relationship Id="{name}" Type="{RELATIONS}/{kind}" Target="{target}"/>' for name, kind, target in entries
    )
    return f'<Relationships xmlns="{PACKAGE}">{rows}</Relationships>'
