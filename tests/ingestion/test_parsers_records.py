"""Rows, records, letters and transcripts: CSV, JSON, e-mail and WebVTT."""

import base64
import datetime
import email
import email.policy
import json
import struct
import zlib
from email.message import EmailMessage

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from ingestion.parsers.kinds import parse
from ingestion.parsers.parsed import Limits, ParsedDocument
from tests.ingestion.files import locked_pdf, pdf
from tests.ingestion.office import compound
from utils.errors import UnreadableDocument


def read(data: bytes | str, name: str, limits: Limits | None = None) -> ParsedDocument:
    return parse(data.encode() if isinstance(data, str) else data, name, limits or Limits())


def sections(document: ParsedDocument) -> list[tuple[str, str]]:
    return [(" › ".join(part.heading), document.text[part.body : part.end]) for part in document.sections]


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("Day,Open\nMon,8\n", "Day | Open\nMon | 8"),
        ("Day;Open\nMon;8,5\nTue;9,5\n", "Day | Open\nMon | 8,5\nTue | 9,5"),
        ("Day\tOpen\r\nMon\t8\r\n", "Day | Open\nMon | 8"),
        ('a,"b, with\na line",c\n1,2,3\n', "a | b, with a line | c\n1 | 2 | 3"),
        ("a,b,c\n1,2\n1,2,3,4\n\n,,\n", "a | b | c\n1 | 2\n1 | 2 | 3 | 4"),
        ("only one column\nand rows\n", "only one column\nand rows"),
        ('a,b\n"never closed,2\n3,4', "a | b\nnever closed,2 3,4"),
        ("a,b\n1,\0 2\n", "a | b\n1 | 2"),
    ],
)
def test_delimited_text_is_read_as_rows_also_where_they_are_ragged(source: str, text: str) -> None:
    assert read(source, "a.csv").text == text


def test_a_delimited_file_is_read_in_any_encoding() -> None:
    assert read("Café;Öffnung\nNorte;8\n".encode("cp1252"), "a.csv").text == "Café | Öffnung\nNorte | 8"


def test_json_is_read_with_its_names_as_headings_and_records_as_rows() -> None:
    value = {
        "title": "Library",
        "open": True,
        "rooms": [{"name": "A", "seats": 4}, {"name": "B", "seats": None}],
        "rules": {"loans": {"days": 14}, "tags": ["quiet", "warm"], "none": []},
    }
    document = read(json.dumps(value), "a.json")
    assert document.title == "Library"
    assert sections(document) == [
        ("", "title: Library\nopen: true"),
        ("rooms", "name | seats\nA | 4\nB"),
        ("rules › loans", "days: 14"),
        ("rules › tags", "- quiet\n- warm"),
    ]


def test_json_lines_are_records_too() -> None:
    assert (
        read('{"day": "Mon", "open": 8}\n{"day": "Tue", "open": 9}\n', "a.jsonl").text == "day | open\nMon | 8\nTue | 9"
    )


def message(body: str = "See you at eight.", **headers: str) -> EmailMessage:
    made = EmailMessage()
    for name, value in {"From": "Ana <ana@example.org>", "Subject": "Opening hours", **headers}.items():
        made[name] = value
    made.set_content(body)
    return made


def test_a_mail_is_read_with_its_head_its_plain_body_and_its_attachments() -> None:
    forwarded = message("Old news.", Subject="Before")
    mail = message(To="Ben <ben@example.org>", Date="Mon, 02 Mar 2026 08:00:00 +0000")
    mail.add_alternative("<p>not the plain one</p>", subtype="html")
    mail.add_attachment(b"# Rules\n\nBe quiet.", maintype="text", subtype="markdown", filename="rules.md")
    mail.add_attachment(pdf(["Shelf A"]), maintype="application", subtype="pdf", filename="map.pdf")
    mail.add_attachment(locked_pdf("x"), maintype="application", subtype="pdf", filename="locked.pdf")
    old = b"{\\rtf1 Shelf B}"
    mail.add_attachment(old, maintype="application", subtype="rtf", filename="old.rtf")
    mail.add_attachment(b"\0", maintype="application", subtype="x", filename="tool.exe")
    mail.add_attachment(forwarded)
    document = read(mail.as_bytes(), "a.eml")
    head = "From: Ana <ana@example.org>\nTo: Ben <ben@example.org>\nDate: Mon, 02 Mar 2026 08:00:00 +0000"
    assert document.title == "Opening hours"
    assert sections(document) == [
        ("Opening hours", f"{head}\n\nSee you at eight."),
        ("Opening hours › rules.md › Rules", "Be quiet."),
        ("Opening hours › map.pdf", "Shelf A"),
        ("Opening hours › locked.pdf", "It is protected with a password: save a copy without one."),
        ("Opening hours › old.rtf", "It is of an old format: save it as DOCX."),
        ("Opening hours › tool.exe", "tool.exe"),
        ("Opening hours › Before", "From: Ana <ana@example.org>\n\nOld news."),
    ]


def test_a_mail_in_html_alone_and_in_an_unknown_encoding_is_read() -> None:
    source = (
        b"From: a@example.org\r\nSubject: =?utf-8?q?A=C3=B1o?=\r\nContent-Type: text/html; charset=x-unknown\r\n\r\n"
        b"<p>Shut on <b>Monday</b></p>"
    )
    document = read(source, "a.eml")
    assert (document.title, document.text) == ("Año", "Año\n\nFrom: a@example.org\n\nShut on Monday")


def test_a_mail_whose_encoding_is_none_is_refused() -> None:
    body = base64.encodebytes(zlib.compress(b"The library opens at nine in the morning, and is shut on Sundays. " * 9))
    head = b"From: a@example.org\r\nContent-Type: text/plain; charset=zlib\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    with pytest.raises(UnreadableDocument, match="encoding is unknown"):
        read(head + body, "a.eml")


def test_words_with_a_nul_between_them_stay_two() -> None:
    assert read(b"armadillo\0words and so on", "a.txt").text == "armadillo words and so on"


def test_mails_attached_to_mails_are_read_to_some_depth_only() -> None:
    mail = message("Innermost.")
    for _ in range(30):
        outer = message("Outer.")
        outer.add_attachment(mail)
        mail = outer
    text = read(mail.as_bytes(), "a.eml").text
    assert text.count("Outer.") == 3
    assert "Innermost" not in text


def test_an_outlook_message_is_read_with_its_attachment() -> None:
    tag = "__substg1.0_{}001F".format
    streams = {
        tag("0037"): "Fees".encode("utf-16-le"),
        tag("0C1A"): "Ana".encode("utf-16-le"),
        tag("1000"): "Ten a year.\r\n\r\nPaid in March.".encode("utf-16-le"),
        f"__attach_version1.0_#00000000/{tag('3707')}": "fees.csv".encode("utf-16-le"),
        "__attach_version1.0_#00000000/__substg1.0_37010102": b"Year;Fee\n2026;10\n",
    }
    wide = {name: data if b";" in data else data + " ".encode("utf-16-le") * 2048 for name, data in streams.items()}
    document = read(compound(wide), "a.msg")
    assert document.title == "Fees"
    assert sections(document) == [
        ("Fees", "From: Ana\n\nTen a year.\n\nPaid in March."),
        ("Fees › fees.csv", "Year | Fee\n2026 | 10"),
    ]


def test_a_transcript_is_read_by_speaker_without_its_times() -> None:
    source = """WEBVTT

NOTE not said

1
00:01.000 --> 00:04.000
<v Ana>Where is <b>the</b> library?

00:05.000 --> 00:06.000 align:start
<v Ana>Anybody?

00:07.000 --> 00:09.000
<v.loud Ben>Second &amp; last floor
"""
    assert read(source, "a.vtt").text == "Ana: Where is the library?\nAnybody?\n\nBen: Second & last floor"


def test_subtitles_in_subrip_are_read_in_any_encoding() -> None:
    source = "1\r\n00:00:01,000 --> 00:00:04,000\r\n<i>Где</i> библиотека,\r\nскажите?\r\n\r\n"
    source += "2\r\n00:00:05,000 --> 00:00:06,500\r\nНа втором этаже.\r\n"
    assert read(source.encode("cp1251"), "a.srt").text == "Где библиотека, скажите?\nНа втором этаже."


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_a_mail_that_was_saved_in_utf_16_is_read(encoding: str) -> None:
    assert read("From: Ana\r\nSubject: Año\r\n\r\nCafé".encode(encoding), "a.eml").text == "Año\n\nFrom: Ana\n\nCafé"


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("a.srt", "just words\n", "SubRip"),
        ("a.json", "[" * 5_000, "nested deeper"),
        ("a.json", "[" * 5_000 + "]" * 5_000, "nested deeper"),
        ("a.json", '{"a":' * 60 + "1" + "}" * 60, "nested deeper"),
        ("a.json", '{"a": 1,\n "b": }', "line 2"),
        ("a.json", "{}", "no text"),
        ("a.csv", ",,,\n,,,\n", "no text"),
        ("a.csv", "a,b\n" * 1_000, "1,000 characters"),
        ("a.eml", "no head at all", "not an e-mail"),
        ("a.eml", message().as_string() + "\n" + "word " * 1_000, "1,000 characters"),
        ("a.msg", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + "__substg1.0_".encode("utf-16-le"), "damaged"),
        ("a.vtt", "00:01.000 --> 00:02.000\nHello\n", "WebVTT"),
        ("a.vtt", "WEBVTT\n\nNOTE nothing said\n", "no text"),
    ],
)
def test_records_that_cannot_be_read_are_refused_with_the_reason(name: str, data: bytes | str, reason: str) -> None:
    with pytest.raises(UnreadableDocument, match=f"(?i){reason}"):
        read(data, name, Limits(characters=1_000))


OPAQUE = (
    'Content-Type: application/pkcs7-mime; smime-type={}; name="smime.p7m"\r\nContent-Transfer-Encoding: base64\r\n'
)
HEAD = "From: Ana <ana@example.org>\r\nSubject: Fees\r\nMIME-Version: 1.0\r\n"
SIGNED_BODY = "Ten a year."


def signed(how: pkcs7.PKCS7Options) -> bytes:
    """A message in S/MIME by a key of its own, inside its signature or beside it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Ana")])
    day = datetime.datetime(2026, 11, 24, tzinfo=datetime.UTC)
    certificate = x509.CertificateBuilder(name, name, key.public_key(), 1, day, day.replace(year=2036))
    inner = message(SIGNED_BODY)
    inner.add_attachment(b"Year;Fee\n2026;10\n", maintype="text", subtype="csv", filename="fees.csv")
    for header in ("From", "Subject"):
        del inner[header]
    builder = pkcs7.PKCS7SignatureBuilder().set_data(inner.as_bytes())
    builder = builder.add_signer(certificate.sign(key, hashes.SHA256()), key, hashes.SHA256())
    form = Encoding.SMIME if how is pkcs7.PKCS7Options.DetachedSignature else Encoding.DER
    return builder.sign(form, [how] if form is Encoding.SMIME else [])


def opaque(cms: bytes, kind: str) -> bytes:
    return (HEAD + OPAQUE.format(kind)).encode() + b"\r\n" + base64.encodebytes(cms)


def test_a_signed_mail_is_read_with_its_attachments_wherever_its_signature_is() -> None:
    beside = HEAD.replace("MIME-Version: 1.0\r\n", "").encode() + signed(pkcs7.PKCS7Options.DetachedSignature)
    inside = opaque(signed(pkcs7.PKCS7Options.Binary), "signed-data")
    head = "From: Ana <ana@example.org>"
    for mail in (beside, inside):
        assert sections(read(mail, "a.eml")) == [
            ("Fees", f"{head}\n\n{SIGNED_BODY}"),
            ("Fees › fees.csv", "Year | Fee\n2026 | 10"),
        ]


def outlook(kind: str, attached: bytes, content_type: str) -> bytes:
    tag = "__substg1.0_{}001F".format
    folder = "__attach_version1.0_#00000000/"
    texts = {
        tag("0037"): "Fees",
        tag("001A"): kind,
        folder + tag("3707"): "smime.p7m",
        folder + tag("370E"): content_type,
    }
    wide = {name: (value + " " * 2048).encode("utf-16-le") for name, value in texts.items()}
    return compound({**wide, f"{folder}__substg1.0_37010102": attached})


def test_a_signed_outlook_message_is_read() -> None:
    for attached in (signed(pkcs7.PKCS7Options.DetachedSignature), signed(pkcs7.PKCS7Options.Binary)):
        document = read(outlook("IPM.Note.SMIME", attached, "multipart/signed"), "a.msg")
        assert sections(document) == [("Fees", SIGNED_BODY), ("Fees › fees.csv", "Year | Fee\n2026 | 10")]


def test_narrow_text_of_an_outlook_message_is_in_the_code_page_that_it_names() -> None:
    values = bytes(32) + struct.pack("<HHIQ", 0x0003, 0x3FDE, 0, 950) + bytes(8192)
    texts = {"0037": "格式", "0C1A": "陳奎良", "1000": "其餘人員"}
    streams = {f"__substg1.0_{tag}001E": text.encode("cp950") + b" " * 4096 for tag, text in texts.items()}
    document = read(compound({**streams, "__properties_version1.0": values}), "a.msg")
    assert document.text == "格式\n\nFrom: 陳奎良\n\n其餘人員"


PGP = "-----BEGIN PGP MESSAGE-----\n\nhIwDY32h\n-----END PGP MESSAGE-----\n"
ENVELOPED = bytes.fromhex("300f06092a864886f70d010703a0020500")
PGP_MIME = (
    HEAD + 'Content-Type: multipart/encrypted; boundary=x; protocol="application/pgp-encrypted"\r\n\r\n'
    "--x\r\nContent-Type: application/pgp-encrypted\r\n\r\nVersion: 1\r\n"
    f"--x\r\nContent-Type: application/octet-stream\r\n\r\n{PGP}\r\n--x--\r\n"
)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.eml", PGP_MIME),
        ("a.eml", message(PGP).as_bytes()),
        ("a.eml", opaque(ENVELOPED, "enveloped-data")),
        ("a.eml", opaque(b"\x30\x80" * 2_000, "signed-data")),
        ("a.msg", outlook("IPM.Note.SMIME", ENVELOPED, "application/pkcs7-mime")),
        ("a.msg", outlook("IPM.Note", b"Version: 1", "application/pgp-encrypted")),
    ],
)
def test_an_encrypted_mail_is_refused_with_what_to_do(name: str, data: bytes | str) -> None:
    with pytest.raises(UnreadableDocument, match=r"The message is encrypted.*save it without encryption"):
        read(data, name)


def test_an_encrypted_mail_that_is_attached_is_named_so() -> None:
    mail = message("See below.")
    mail.add_attachment(email.message_from_bytes(opaque(ENVELOPED, "enveloped-data"), policy=email.policy.default))
    assert "The message is encrypted" in sections(read(mail.as_bytes(), "a.eml"))[1][1]
