"""Text that is none: old encodings are told from each other, and what cannot be read is said to be unread."""

import random
from pathlib import Path
from string import ascii_lowercase

import pytest

from domain.db import Database
from domain.documents import get_chunks, list_documents
from ingestion.parsers.garbled import is_garbled, is_garbled_line
from ingestion.parsers.kinds import parse
from ingestion.parsers.parsed import Limits, ParsedDocument
from ingestion.parsers.shuffled_letters import has_shuffled_letters
from ingestion.reader import DocumentReader
from tests.domain.records import ACME, GLOBEX
from tests.ingestion.files import drawn_pdf, garbled_pdf, joined, pdf, shuffled_pdf
from tests.reading import NO_CHECK, load_files, parsing
from tests.security.cost import cpu_s
from utils.errors import UnreadableDocument

TRUE_TEXTS = {
    "Arabic": "تفتح المكتبة أبوابها في الساعة التاسعة صباحا، وتدفع الرسوم في شهر مارس من كل عام عند المكتب.",
    "Chinese": "图书馆每天早上九点开门。费用应在每年三月缴纳。如有任何问题，请到前台询问工作人员。",
    "Taiwan": "圖書館每天早上九點開門。費用應在每年三月繳納。如有任何問題，請到前台詢問工作人員。",
    "Japanese": "図書館は毎朝九時に開きます。料金は毎年三月にお支払いください。カウンターでお尋ねください。",
    "Korean": (
        "도서관은 매일 아침 아홉 시에 문을 엽니다. 요금은 매년 삼월에 납부해야 합니다. 문의는 안내 데스크에서 하십시오."
    ),
    "Thai": "ห้องสมุดเปิดทุกวันเวลาเก้าโมงเช้า ค่าธรรมเนียมต้องชำระในเดือนมีนาคมของทุกปี โปรดสอบถามที่เคาน์เตอร์",
    "Hindi": ("पुस्तकालय प्रतिदिन सुबह नौ बजे खुलता है। शुल्क हर वर्ष मार्च में देय होता है। कृपया काउंटर पर पूछें और रसीद लें।"),
    "Greek": "Η βιβλιοθήκη ανοίγει στις εννέα το πρωί. Τα τέλη καταβάλλονται τον Μάρτιο κάθε έτους στο γραφείο.",
    "Russian": (
        "Библиотека открывается в девять часов утра. Взносы уплачиваются в марте каждого года, спросите у стойки."
    ),
    "Hebrew": "הספרייה נפתחת בתשע בבוקר. התשלום הוא במרץ בכל שנה, ועל ספרים באיחור משלמים חמש אגורות ליום.",
    "Polish": (
        "Biblioteka jest otwarta od dziewiątej. Opłaty należy uiszczać w marcu każdego roku, także za zaległości."
    ),
    "Turkish": (
        "Kütüphane sabah dokuzda açılır. Ücretler her yıl mart ayında ödenir, geç kalan kitaplar için ceza alınır."
    ),
    "German": "Die Bücherei öffnet um neun Uhr. Gebühren sind im März fällig, größere Bücher müssen früher zurück.",
    "Vietnamese": (
        "Thư viện mở cửa lúc chín giờ sáng. Lệ phí phải nộp vào tháng ba hằng năm và sách trả muộn bị phạt."
    ),
    "code": (
        'def get_element_by_id(self, name: str) -> "Element | '
        'None":\n    return self._byId.get(name)  # HTMLInputElement'
    ),
    "numbers": "\n".join(f"{year} | {year * 7 % 1000} | {year / 3:.2f} % | #{year % 9}" for year in range(1990, 2026)),
    "formulas": (
        "f(x) = ∑ᵢ aᵢxⁱ + ∫₀^∞ e^(−λt) dt ≤ |z₁ − z₂|²; d(A, B) = ‖A − B‖, α ∈ ℝⁿ \\ {0}, cos²φ + sin²φ = 1, m·c²"
    ),
    "names": (
        "Ltd., GmbH, B.V., S.p.A., HTTPS, XHTML, ISBN, WLAN; Dr. "
        "Krzysztof Brzęczyszczykiewicz, Ng, Mrs Smyth, pp. 12ff."
    ),
}
ENCODINGS = [
    *((script, name) for script in ("Russian",) for name in ("cp1251", "koi8-r", "cp866", "iso8859-5", "mac-cyrillic")),
    *(("Japanese", name) for name in ("shift_jis", "euc-jp", "iso-2022-jp")),
    *(
        ("Chinese", "gb18030"),
        ("Taiwan", "big5"),
        ("Korean", "euc-kr"),
        ("Korean", "iso-2022-kr"),
        ("Thai", "tis-620"),
        ("Arabic", "cp1256"),
    ),
    *(
        (script, f"{wide}-{end}")
        for script in ("German", "names")
        for wide in ("utf-16", "utf-32")
        for end in ("le", "be")
    ),
    *(("Greek", "iso8859-7"), ("Hebrew", "cp1255"), ("Polish", "iso8859-2"), ("Polish", "cp1250")),
    *(("Turkish", "iso8859-9"), ("German", "cp850"), ("German", "mac-roman")),
]
LINES = ("The library opens at nine in the morning", "and is closed on Sundays and on holidays.")
PAGE = (
    "Every student of the university may borrow fifteen books for four weeks.",
    "Whoever brings them back late pays twenty cents for each day and volume,",
    "and cannot reserve anything before that debt has been settled in full.",
    "Dictionaries, maps, newspapers and rare prints stay inside the building;",
    "photographs without flash are welcome, sandwiches and umbrellas are not.",
    "Ask somebody behind the counter where wheelchairs can enter and turn round.",
)


# Of languages whose shares of letters are far from English; codes and numbers of articles.
TRUE_PAGES = (
    "Mae gan bawb hawl i addysg. Dylai addysg fod am ddim, o leiaf ar y lefel elfennol a sylfaenol. Bydd addysg "
    "elfennol yn orfodol. Dylai addysg dechnegol a phroffesiynol fod ar gael yn gyffredinol, a dylai pawb gael yr "
    "un cyfle i addysg uwch ar sail teilyngdod, a rhaid i bob gwlad hybu dealltwriaeth a chyfeillgarwch.",
    "Kazdy czlowiek ma prawo do nauki. Nauka jest bezplatna, przynajmniej na stopniu podstawowym. Wyksztalcenie "
    "wyzsze jest dostepne dla wszystkich na zasadzie rownosci w zaleznosci od zalet osobistych, oraz wszyscy "
    "rodzice maja prawo pierwszenstwa w wyborze nauczania, ktore otrzymaja ich dzieci.",
    " ".join(f"{number:032x} sha256 KTX-{number} pkg{number}v{number}x" for number in range(10**30, 10**36, 10**34)),
)


def read(data: bytes, name: str) -> ParsedDocument:
    return parse(data, name, Limits())


@pytest.mark.parametrize(("script", "encoding"), ENCODINGS)
def test_a_text_in_an_old_encoding_is_read(script: str, encoding: str) -> None:
    text = TRUE_TEXTS[script]
    assert read(text.encode(encoding), "a.txt").text == text


def test_what_is_told_of_the_encoding_counts_only_where_it_gives_words() -> None:
    head = b"From: a@example.org\r\nSubject: Hours\r\nContent-Type: text/plain; charset=iso-8859-1\r\n\r\n"
    for encoding in ("utf-8", "cp1251", "shift_jis"):
        text = TRUE_TEXTS["Japanese" if encoding == "shift_jis" else "Russian"]
        assert read(head + text.encode(encoding), "a.eml").text.endswith(text)


@pytest.mark.parametrize("name", ["a.txt", "a.md", "a.csv", "a.html"])
def test_bytes_that_are_text_in_no_encoding_are_refused(name: str) -> None:
    choose = random.Random(1)
    words = (bytes(choose.choice((*range(33, 127), *range(161, 255))) for _ in range(7)) for _ in range(400))
    with pytest.raises(UnreadableDocument, match=r"encoding is unknown.*UTF-8"):
        read(b"x " + b" ".join(words), name)


@pytest.mark.parametrize("text", TRUE_TEXTS.values(), ids=list(TRUE_TEXTS))
def test_true_text_is_not_taken_for_garbled(text: str) -> None:
    assert not is_garbled(text)
    assert not any(map(is_garbled_line, text.split("\n")))


@pytest.mark.parametrize(
    "text",
    [
        "".join(chr(ord(letter) - 29) if letter > " " else letter for letter in " ".join(PAGE)),
        TRUE_TEXTS["Russian"].encode("cp1251").decode("cp1252"),
        TRUE_TEXTS["Russian"].encode().decode("cp1252", "replace"),
        "".join(chr(0xAC00 + ord(letter)) if letter.isalpha() else letter for letter in TRUE_TEXTS["Russian"]),
        "ynna'liiBaeMoro npliiMeHeHlileM ynpo111eHHOali CliiCTeMbl Hanoroo6no>KeHlil~ "
        "yMeHbWeHHble OT\"'eTHbiH Te4eHHe npe,QnpliiHliiMaTenb nony\"'eHHbiX",
        "ϸЇ Ԕΰ һӍΉʽী RହຏഀƹΉటҧȥǂ࣎ʤ ̦˵ƹϕŊ૳һαฝ೗ϕࢼஎ ̼ഗੜ̿ɢ๠ࠨźȥˮʷ ೼්͟ǬȈ ȥౖ͵˖̮̓ဍΰ չʽΈۄ ࠌۉĪۈī ՓßЖґಛ ȥࠨ˖ۄ",
        "\ue001\ue002\ue003 \uf0b7\ue004\ue005 " * 8,
    ],
)
def test_letters_of_a_wrong_font_or_encoding_are_noticed(text: str) -> None:
    assert is_garbled(text)


@pytest.mark.parametrize(
    "line", ['&-.789:;#3%4,56#$"', ".><57=+).><+.><=+>?+.;</#0$C1C23#", "2&&>		&(700;)&!Q%	6@"]
)
def test_a_line_of_signs_is_garbled(line: str) -> None:
    assert is_garbled_line(line)


def test_a_page_whose_font_says_wrong_letters_is_unread_and_the_others_are_read() -> None:
    document = read(joined(pdf(LINES), garbled_pdf(PAGE), pdf(["Last page."])), "a.pdf")
    assert (document.text, document.unread_pages, document.garbled_pages) == (
        " ".join(LINES) + "\n\nLast page.",
        (2,),
        (2,),
    )


@pytest.mark.parametrize("seed", [1, 6, 14])
def test_a_page_whose_letters_stand_for_others_is_unread_and_recognised(seed: int) -> None:
    names = list(ascii_lowercase)
    random.Random(seed).shuffle(names)
    document = read(joined(pdf(LINES), shuffled_pdf("".join(names), PAGE), pdf(["Last page."])), "a.pdf")
    assert (document.text, document.garbled_pages) == (" ".join(LINES) + "\n\nLast page.", (2,))
    assert parse(pdf(PAGE), "a.pdf", Limits()).garbled_pages == ()


@pytest.mark.parametrize("text", [*TRUE_TEXTS.values(), *TRUE_PAGES])
def test_letters_of_true_text_stand_for_themselves(text: str) -> None:
    assert not has_shuffled_letters(" ".join([text] * 5))


def test_a_garbled_page_on_which_nothing_was_recognised_is_still_unread() -> None:
    data = joined(pdf(LINES), garbled_pdf(PAGE))
    assert parse(data, "a.pdf", Limits(), {2: ""}).garbled_pages == (2,)


def test_some_garbled_lines_are_left_out_of_their_page() -> None:
    figure = "".join(f"({line}) Tj 0 -14 Td\n" for line in ["&-.789:;#3%4,56#$", "$/4>56#0$C1@23#", "?#O6:,/#<5%&"])
    page = f"BT /F1 11 Tf 50 780 Td ({LINES[0]}) Tj 0 -14 Td ({LINES[1]}) Tj 0 -14 Td {figure} ET"
    document = read(drawn_pdf(page), "a.pdf")
    assert (document.text, document.garbled_pages) == (" ".join(LINES), (1,))


@pytest.mark.parametrize("run", ["1", "-_", "a1", "!"])
def test_a_run_without_blanks_takes_linear_time_however_long_it_is(run: str) -> None:
    line = "é" + run * 30_000
    assert cpu_s(lambda: is_garbled_line(line)) < 0.5
    assert cpu_s(lambda: is_garbled(line)) < 0.5


@pytest.mark.usefixtures("recognition")
def test_a_garbled_page_is_recognised_by_what_it_shows() -> None:
    with parsing() as parser:
        content = DocumentReader(parser, NO_CHECK).read_whole(garbled_pdf(PAGE), "a.pdf", "a")
    assert content.chunks[0].text.split() == " ".join(PAGE).split()
    assert (content.details["unread_pages"], content.details["garbled_pages"]) == ([], [])


def test_a_garbled_file_says_what_to_do_where_it_cannot_be_recognised(database: Database, tmp_path: Path) -> None:
    (tmp_path / "bad.pdf").write_bytes(garbled_pdf(PAGE))
    (tmp_path / "half.pdf").write_bytes(joined(pdf(LINES), garbled_pdf(PAGE)))
    limits = Limits(recognises=False)
    for ctx in (ACME, GLOBEX):
        summary = load_files(database, ctx, [tmp_path], limits=limits)
        ((failed, reason),) = summary.failed
        ((unread, note),) = summary.unread
        assert (failed, unread) == (f"{tmp_path.name}/bad.pdf", f"{tmp_path.name}/half.pdf")
        assert "fonts of the file do not say which letters they show" in reason
        assert "Send the file from which it was made" in reason
        assert note.startswith("Page 2 not read, or in part. Their text is garbled")
        assert "turn OCR_ENABLED on" in note
        with database.open_read_session() as session:
            texts = [c.text for d in list_documents(session, ctx) for c in get_chunks(session, ctx, d.document_id)]
        assert texts == [" ".join(LINES)]
