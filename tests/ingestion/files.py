"""Files for tests, made here: PDF by hand, with and without a password, pictures of text, and DOCX by python-docx."""

import hashlib
import io
import struct
import zipfile
from collections.abc import Sequence

import docx
import pypdfium2
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from PIL import Image

FONT = b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>"
PADDING = bytes.fromhex("28bf4e5e4e758a4164004e56fffa01082e2e00b6d0683e802f0ca9fe6453697a")


def pdf(*pages: Sequence[str]) -> bytes:
    """A PDF with a line of text after the other on each of *pages*; a page without lines is empty."""
    return _pdf([_page(lines) for lines in pages])


def locked_pdf(password: str) -> bytes:
    """A PDF that opens with *password* alone: standard security handler, revision 2 (PDF 1.7, 7.6.3)."""
    ident, permissions = b"0123456789abcdef", -4
    owner = _rc4(hashlib.md5(_padded("owner")).digest()[:5], _padded(password))  # noqa: S324 - what the format has
    seed = _padded(password) + owner + struct.pack("<i", permissions) + ident
    user = _rc4(hashlib.md5(seed).digest()[:5], PADDING)  # noqa: S324 - what the format has
    lock = f"<< /Filter /Standard /V 1 /R 2 /P {permissions} /O <{owner.hex()}> /U <{user.hex()}> >>"
    return _pdf([_page(["Secret"])], f"/Encrypt {lock} /ID [<{ident.hex()}> <{ident.hex()}>]")


def drawn_pdf(*pages: str) -> bytes:
    """A PDF whose pages are drawn by *pages*, each the operators of a content stream; /F1 is its font."""
    return _pdf([page.encode("latin-1") for page in pages])


def picture(*lines: str, kind: str = "PNG", turn: int = 0) -> bytes:
    """A picture of printed lines, turned by *turn* degrees to the left."""
    file = io.BytesIO()
    _printed(lines).rotate(turn, expand=True).save(file, kind)
    return file.getvalue()


def pictures(*pages: Sequence[str], kind: str) -> bytes:
    """Pages of printed lines in one TIFF or PDF."""
    file = io.BytesIO()
    first, *others = [_printed(lines) for lines in pages]
    first.save(file, kind, save_all=True, append_images=others, resolution=100)
    return file.getvalue()


def joined(*files: bytes) -> bytes:
    """The pages of several PDFs in one."""
    made, file = pypdfium2.PdfDocument.new(), io.BytesIO()
    for data in files:
        made.import_pages(pypdfium2.PdfDocument(data))
    made.save(file)
    return file.getvalue()


def _printed(lines: Sequence[str]) -> Image.Image:
    """The lines as PDFium draws them, 32 pixels apart."""
    page: Image.Image = pypdfium2.PdfDocument(pdf(lines))[0].render(scale=16 / 7).to_pil().convert("L")
    return page.crop((0, 80, 900, 180 + 32 * len(lines)))


def word(**properties: str) -> "docx.document.Document":
    """A new Word document; add to it, then take `saved`."""
    document = docx.Document()
    for name, value in properties.items():
        setattr(document.core_properties, name, value)
    return document


def saved(document: "docx.document.Document") -> bytes:
    """The document as a file."""
    file = io.BytesIO()
    document.save(file)
    return file.getvalue()


def bomb(unpacked_bytes: int) -> bytes:
    """A small DOCX that unpacks to *unpacked_bytes*."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("word/document.xml", b" " * unpacked_bytes)
    return file.getvalue()


def shuffled_pdf(names: str, *pages: Sequence[str]) -> bytes:
    """As `pdf`, in a font that calls the letters from a to z by *names*."""
    said = "".join(f"<{0x61 + at:02X}> <{ord(name):04X}>\n" for at, name in enumerate(names))
    table = f"begincmap\n1 begincodespacerange\n<00> <FF>\nendcodespacerange\n26 beginbfchar\n{said}endbfchar\nendcmap"
    font = FONT.replace(b" >>", b" /ToUnicode %d 0 R >>" % (4 + 2 * len(pages)))
    return _pdf([_page(lines) for lines in pages], font=font, more=[_stream(table.encode())])


def garbled_pdf(*pages: Sequence[str]) -> bytes:
    """As `pdf`, in a font that calls each letter the third one after it: what is read is not what is shown."""
    shifted = "".join(f"<{code:02X}> <{code + 3:04X}>\n" for code in range(0x21, 0x7C))
    table = (
        f"begincmap\n1 begincodespacerange\n<00> <FF>\nendcodespacerange\n91 beginbfchar\n{shifted}endbfchar\nendcmap"
    )
    font = FONT.replace(b" >>", b" /ToUnicode %d 0 R >>" % (4 + 2 * len(pages)))
    return _pdf([_page(lines) for lines in pages], font=font, more=[_stream(table.encode())])


def _page(lines: Sequence[str]) -> bytes:
    shown = "".join(f"({line}) Tj 0 -14 Td\n" for line in lines)
    return f"BT /F1 11 Tf 50 780 Td\n{shown}ET".encode("latin-1")


def _pdf(contents: Sequence[bytes], trailer: str = "", *, font: bytes = FONT, more: Sequence[bytes] = ()) -> bytes:
    kids = " ".join(f"{4 + 2 * number} 0 R" for number in range(len(contents)))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(contents)} >>".encode(),
        font,
    ]
    for number, content in enumerate(contents):
        page = f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents {5 + 2 * number} 0 R "
        objects.append(f"{page}/Resources << /Font << /F1 3 0 R >> >> >>".encode())
        objects.append(_stream(content))
    return _file([*objects, *more], trailer)


def _stream(content: bytes) -> bytes:
    return b"<< /Length %d >>\nstream\n%s\nendstream" % (len(content), content)


def _file(objects: Sequence[bytes], trailer: str) -> bytes:
    out, offsets = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = "".join(f"{offset:010} 00000 n \n" for offset in offsets)
    head = f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}"
    return (
        out
        + f"{head}trailer << /Size {len(objects) + 1} /Root 1 0 R {trailer} >>\nstartxref\n{len(out)}\n%%EOF".encode()
    )


def _padded(password: str) -> bytes:
    return (password.encode() + PADDING)[:32]


def _rc4(key: bytes, data: bytes) -> bytes:
    box, j = list(range(256)), 0
    for i in range(256):
        j = (j + box[i] + key[i % len(key)]) % 256
        box[i], box[j] = box[j], box[i]
    out, i, j = bytearray(), 0, 0
    for byte in data:
        i = (i + 1) % 256
        j = (j + box[i]) % 256
        box[i], box[j] = box[j], box[i]
        out.append(byte ^ box[(box[i] + box[j]) % 256])
    return bytes(out)


def form_pdf(shown: str, *fields: str) -> bytes:
    """A PDF with the text that the operators *shown* draw and a form, its *fields* each the entries of a dictionary."""
    first = 6
    kids = " ".join(f"{first + number} 0 R" for number in range(len(fields)))
    catalog = f"<< /Type /Catalog /Pages 2 0 R /AcroForm << /Fields [{kids}] /DR << /Font << /F1 3 0 R >> >> >> >>"
    page = f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 5 0 R /Annots [{kids}] "
    objects = [
        catalog.encode(),
        b"<< /Type /Pages /Kids [4 0 R] /Count 1 >>",
        FONT,
        f"{page}/Resources << /Font << /F1 3 0 R >> >> >>".encode(),
        _stream(shown.encode("latin-1")),
        *(f"<< /Type /Annot /Subtype /Widget /DA (/F1 11 Tf) {field} >>".encode("latin-1") for field in fields),
    ]
    return _file(objects, "")


def aes_pdf(password: str, *, revision: int) -> bytes:
    """A PDF that *password* opens: AES-256, security handler of revision 5 (Adobe's) or 6 (ISO 32000-2, 7.6.4)."""
    key, zeros = bytes(range(32)), bytes(16)
    salts = (b"validate", b"key-salt")

    def entries(secret: bytes, user: bytes) -> tuple[bytes, bytes]:
        validation, wrapping = (_aes_hash(secret, salt, user, revision) for salt in salts)
        return validation + b"".join(salts), _aes(wrapping, modes.CBC(zeros), key)

    user, user_key = entries(password.encode(), b"")
    owner, owner_key = entries(b"owner", user)
    permissions = _aes(key, modes.ECB(), struct.pack("<iI", -4, 0xFFFFFFFF) + b"Tadbabcd")  # noqa: S305 - the format's
    filters = "/CF << /StdCF << /CFM /AESV3 /AuthEvent /DocOpen /Length 32 >> >> /StmF /StdCF /StrF /StdCF"
    lock = (
        f"<< /Filter /Standard /V 5 /R {revision} /Length 256 /P -4 {filters} /U <{user.hex()}> /UE <{user_key.hex()}> "
    )
    lock += f"/O <{owner.hex()}> /OE <{owner_key.hex()}> /Perms <{permissions.hex()}> >>"
    content = _page(["Secret"])
    fill = 16 - len(content) % 16
    sealed = zeros + _aes(key, modes.CBC(zeros), content + bytes([fill]) * fill)
    return _pdf([sealed], f"/Encrypt {lock} /ID [<00> <00>]")


def _aes_hash(password: bytes, salt: bytes, user: bytes, revision: int) -> bytes:
    """SHA-256, and for revision 6 the rounds of algorithm 2.B."""
    digest = hashlib.sha256(password + salt + user).digest()
    if revision < 6:
        return digest
    number, last = 0, 0
    while number < 64 or last > number - 32:
        sealed = _aes(digest[:16], modes.CBC(digest[16:32]), (password + digest + user) * 64)
        digest = (hashlib.sha256, hashlib.sha384, hashlib.sha512)[sum(sealed[:16]) % 3](sealed).digest()
        number, last = number + 1, sealed[-1]
    return digest[:32]


def _aes(key: bytes, mode: modes.CBC | modes.ECB, data: bytes) -> bytes:
    sealing = Cipher(algorithms.AES(key), mode).encryptor()
    return sealing.update(data) + sealing.finalize()
