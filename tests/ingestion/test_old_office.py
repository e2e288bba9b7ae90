"""Old formats: XLS is read; DOC, PPT and RTF are by LibreOffice in the sandbox where it is, else refused."""

import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ingestion.parsers.libreoffice import COMPONENTS, find_libreoffice
from ingestion.parsers.parsed import Limits
from ingestion.parsers.sandbox import ParserProcess
from tests.ingestion.files import saved, word
from tests.ingestion.office import DRAW, MANIFEST, OFFICE, TEXT, compound, word_parts, zipped
from tests.programs import installed, not_installed
from tests.reading import parsing
from utils.errors import UnreadableDocument

BEGINNING = b"\x09\x08\x10\0\0\x06\x05\0" + bytes(12)  # of a workbook ([MS-XLS] 2.4.21)
ODP = "application/vnd.oasis.opendocument.presentation"
SLIDES = zipped(
    {
        "mimetype": ODP,
        "META-INF/manifest.xml": f"""<m:manifest xmlns:m="{MANIFEST}" m:version="1.3">
<m:file-entry m:full-path="/" m:media-type="{ODP}"/><m:file-entry m:full-path="content.xml" m:media-type="text/xml"/>
</m:manifest>""",
        "content.xml": f"""<office:document-content xmlns:office="{OFFICE}" xmlns:draw="{DRAW}" xmlns:text="{TEXT}"
xmlns:svg="urn:oasis:names:tc:opendocument:xmlns:svg-compatible:1.0" office:version="1.3"><office:body>
<office:presentation><draw:page><draw:frame svg:width="20cm" svg:height="3cm"><draw:text-box><text:p>Welcome</text:p>
</draw:text-box></draw:frame></draw:page></office:presentation></office:body></office:document-content>""",
    }
)
RTF = rb"""{\rtf1\ansi{\stylesheet{\s0 Normal;}{\s1\outlinelevel0 heading 1;}}{\info{\title House rules}}
\pard\s1\outlinelevel0 Loans\par\pard\s0 Four books at a time, caf\'e9 closed.\par}"""


@pytest.fixture(scope="module")
def parser() -> Iterator[ParserProcess]:
    """What parses files as the service does."""
    with parsing() as opened:
        yield opened


@pytest.fixture
def libreoffice() -> Path:
    """LibreOffice with all we convert from; the test is skipped without, but fails under CI."""
    for target, (_, package) in COMPONENTS.items():
        if find_libreoffice(target) is None:
            not_installed(package)
    return Path(installed("soffice"))


@pytest.fixture
def no_libreoffice(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine that has none."""
    monkeypatch.setenv("PATH", str(tmp_path))


def refusal(parser: ParserProcess, data: bytes, name: str) -> str:
    with pytest.raises(UnreadableDocument) as caught:
        parser.parse(data, name)
    return caught.value.detail


def test_rich_text_is_read_with_its_headings(libreoffice: Path, parser: ParserProcess) -> None:
    document = parser.parse(RTF, "rules.rtf")
    assert [(part.heading, document.text[part.body : part.end]) for part in document.sections] == [
        (("Loans",), "Four books at a time, café closed.")
    ]
    assert (document.title, document.media_type) == ("House rules", "application/msword")


def test_rich_text_with_a_remark_is_read(libreoffice: Path, parser: ParserProcess) -> None:
    remark = rb"{\*\atnid AB}\chatn{\*\annotation\pard\plain Is that so?\par}"
    text = parser.parse(RTF.replace(rb"\par}", remark + rb"\par}"), "rules.rtf").text
    assert "Four books" in text
    assert "Is that so?" in text


def test_rich_text_that_names_files_of_this_machine_gets_none_of_them(
    libreoffice: Path, parser: ParserProcess, tmp_path: Path
) -> None:
    (tmp_path / "secret.txt").write_text("The code is 4711.")
    address = (tmp_path / "secret.txt").as_uri()
    field = rf'{{\field{{\*\fldinst INCLUDETEXT "{address}"}}{{\fldrslt none}}}}'.encode()
    document = parser.parse(RTF.replace(rb"\par}", rb"\par " + field + rb"\par}"), "rules.rtf")
    assert "4711" not in document.text
    assert "Four books" in document.text


def test_a_conversion_that_takes_too_long_is_ended(libreoffice: Path) -> None:
    with parsing(Limits(timeout_s=0.3)) as impatient:
        assert "took longer than 0.3 s" in refusal(impatient, RTF + b"{}" * 3_000_000, "rules.rtf")


def saved_paragraph(text: str) -> bytes:
    """A Word document as python-docx makes it."""
    document = word()
    document.add_paragraph(text)
    return saved(document)


@pytest.mark.long
@pytest.mark.parametrize(
    ("old", "new", "data", "said"),
    [
        ("doc", "docx", saved_paragraph("Open daily."), "Open daily."),
        ("ppt", "odp", SLIDES, "Welcome"),
    ],
)
def test_what_was_saved_by_office_before_2007_is_read(
    libreoffice: Path, parser: ParserProcess, tmp_path: Path, old: str, new: str, data: bytes, said: str
) -> None:
    (tmp_path / f"a.{new}").write_bytes(data)
    profile = f"-env:UserInstallation={(tmp_path / 'profile').as_uri()}"
    command = [str(libreoffice), profile, "--headless", "--convert-to", old, "--outdir", str(tmp_path)]
    subprocess.run([*command, str(tmp_path / f"a.{new}")], check=True, capture_output=True, timeout=120)
    content = (tmp_path / f"a.{old}").read_bytes()
    assert parser.parse(content, f"a.{old}").text == said
    assert parser.parse(content, "misnamed.doc").text == said


def record(kind: int, data: bytes) -> bytes:
    """A record of a workbook ([MS-XLS] 2.1.4)."""
    return struct.pack("<HH", kind, len(data)) + data


def test_a_spreadsheet_of_an_early_excel_is_read_without_libreoffice(
    no_libreoffice: None, parser: ParserProcess
) -> None:
    begin, end, plain = record(0x09, struct.pack("<HH", 2, 0x10)), record(0x0A, b""), bytes(3)
    label = record(0x04, struct.pack("<HH3sB", 0, 0, plain, 3) + b"Fee")
    number = record(0x03, struct.pack("<HH3sd", 0, 1, plain, 10.5))
    document = parser.parse(begin + label + number + end, "fees.xls")
    assert document.text.endswith("Fee | 10.5")
    assert document.media_type == "application/vnd.ms-excel"


@pytest.mark.parametrize(
    ("name", "data", "save_as"),
    [
        ("a.rtf", RTF, "DOCX"),
        ("a.doc", compound({"WordDocument": b"\xec\xa5"}), "DOCX"),
        ("a.ppt", compound({"PowerPoint Document": b"\x0f"}), "PPTX"),
    ],
)
def test_without_libreoffice_the_format_to_save_as_is_named(
    no_libreoffice: None, parser: ParserProcess, name: str, data: bytes, save_as: str
) -> None:
    assert refusal(parser, data, name) == (
        "It is of an old format, which is read by LibreOffice, and that is not installed here: "
        f"save it as {save_as}, or install {COMPONENTS[save_as.lower()][1]}."  # type: ignore[index]
    )


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.doc", compound({"WordDocument": b"\xec\xa5\xc1\0" + bytes(6) + b"\0\x01"})),
        ("a.xls", compound({"Workbook": BEGINNING + b"\x2f\0\x02\0\0\0"})),
        ("a.ppt", compound({"PowerPoint Document": b"\x0f", "EncryptedSummary": b"x"})),
    ],
)
def test_old_files_with_a_password_are_said_to_have_one(parser: ParserProcess, name: str, data: bytes) -> None:
    assert "password" in refusal(parser, data, name)


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("a.xls", b"<html><body><table><tr><td>Fee<td>10</table>", "Fee | 10"),
        ("a.xls", b"Item\tFee\nRoom\t10\n", "Item | Fee\nRoom | 10"),
        ("a.doc", b"Plain words.", "Plain words."),
        ("a.doc", word_parts("<w:p><w:r><w:t>New format</w:t></w:r></w:p>"), "New format"),
    ],
)
def test_what_only_has_an_old_name_is_read_as_what_it_is(
    no_libreoffice: None, parser: ParserProcess, name: str, data: bytes, said: str
) -> None:
    assert parser.parse(data, name).text == said


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        (
            "a.doc",
            compound({"WordDocument": b"\xec\xa5"}),
            "LibreOffice cannot read it: it is damaged.*save it as DOCX",
        ),
        ("a.rtf", b"{\\rtf1 ", "LibreOffice cannot read it"),
        ("a.doc", compound({"Contents": b"a drawing"}), "no document, spreadsheet or presentation"),
        ("a.xls", compound({"Workbook": BEGINNING[:9]}), "damaged.*save it as XLSX"),
        ("a.doc", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "(?i)damaged"),
        ("a.txt", RTF, "not text: its content looks like rich text"),
    ],
)
def test_damaged_old_files_are_refused_with_the_reason(
    libreoffice: Path, parser: ParserProcess, name: str, data: bytes, reason: str
) -> None:
    with pytest.raises(UnreadableDocument, match=reason):
        parser.parse(data, name)
