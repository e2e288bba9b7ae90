"""The sample documents and the questions about them hold together; nothing here needs a running service."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import docx
import pypdfium2
import pytest
from lxml import html
from py3langid.langid import MODEL_FILE, LanguageIdentifier

SAMPLES = Path(__file__).parents[2] / "samples"
QUESTIONS = json.loads(Path(__file__).with_name("questions.json").read_text(encoding="utf-8"))
DOCUMENTS = sorted(path.name for path in SAMPLES.iterdir())
LANGUAGES = ("en", "es", "id")
TRILINGUAL = "about.md"
MAX_BYTES = 60_000
AMOUNT = re.compile(r"(?:IDR |Rp)(\d{1,3}(?:[.,]\d{3})+)")


def pdf_text(path: Path) -> str:
    """The text layer of every page."""
    with pypdfium2.PdfDocument(path) as document:
        return "\n".join(page.get_textpage().get_text_bounded() for page in document)


def docx_text(path: Path) -> str:
    """Paragraphs, then the cells of tables."""
    document = docx.Document(str(path))
    cells = [cell.text for table in document.tables for row in table.rows for cell in row.cells]
    return "\n".join([*(paragraph.text for paragraph in document.paragraphs), *cells])


def html_text(path: Path) -> str:
    """What a reader sees of the page's body."""
    return str(html.fromstring(path.read_bytes()).find("body").text_content())


def text_of(name: str) -> str:
    """The text of a sample document with white space made single, since lines of a PDF break anywhere."""
    path = SAMPLES / name
    readers = {".pdf": pdf_text, ".docx": docx_text, ".html": html_text}
    read = readers.get(path.suffix, lambda plain: plain.read_text(encoding="utf-8"))
    return " ".join(read(path).split())


def asked() -> Iterator[dict[str, str]]:
    """Every question that a document answers, alone or as a turn of a conversation."""
    yield from (question for question in QUESTIONS["questions"] if question["document"])
    for conversation in QUESTIONS["conversations"]:
        yield from conversation["turns"]


def languages_of(name: str) -> set[str]:
    """The languages of the questions that are put to a document in its own language."""
    own = [question for question in QUESTIONS["questions"] if not question["cross_lingual"]]
    return {question["language"] for question in own if question["document"] == name}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_answer_stands_in_its_document(name: str) -> None:
    text = text_of(name)
    answers = [question["answer"] for question in asked() if question["document"] == name]
    assert answers, "no question is put to this document"
    assert [answer for answer in answers if answer not in text] == []


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_document_is_small_and_has_a_page_or_two_of_text(name: str) -> None:
    assert (SAMPLES / name).stat().st_size <= MAX_BYTES
    assert 250 <= len(text_of(name).split()) <= 700


def test_there_are_about_fifteen_documents_in_all_formats() -> None:
    assert 13 <= len(DOCUMENTS) <= 17
    assert {Path(name).suffix for name in DOCUMENTS} == {".md", ".html", ".txt", ".docx", ".pdf"}


def test_the_pdf_has_text_on_each_of_several_pages() -> None:
    with pypdfium2.PdfDocument(SAMPLES / "pengaduan-dan-banding.pdf") as document:
        words = [len(page.get_textpage().get_text_bounded().split()) for page in document]
    assert len(words) >= 2
    assert min(words) > 100


def test_a_document_is_in_the_language_its_questions_say() -> None:
    identifier = LanguageIdentifier.from_model_file(MODEL_FILE)
    identifier.set_languages(list(LANGUAGES))
    found = {name: {identifier.classify(text_of(name))[0]} for name in DOCUMENTS if name != TRILINGUAL}
    assert found == {name: languages_of(name) for name in found}
    assert languages_of(TRILINGUAL) == set(LANGUAGES)
    assert min(Counter(language for (language,) in found.values()).values()) >= 4


def test_a_question_is_cross_lingual_exactly_when_its_document_is_in_other_languages() -> None:
    answered = [question for question in QUESTIONS["questions"] if question["document"]]
    for question in answered:
        own = question["language"] in languages_of(question["document"])
        assert question["cross_lingual"] != own, question["id"]


def test_each_language_has_enough_questions_of_every_kind() -> None:
    for language in LANGUAGES:
        questions = [question for question in QUESTIONS["questions"] if question["language"] == language]
        talks = [talk for talk in QUESTIONS["conversations"] if talk["language"] == language]
        answered = [question for question in questions if question["document"]]
        assert len(answered) >= 15
        assert sum(question["cross_lingual"] for question in answered) >= 3
        assert len(questions) - len(answered) >= 5
        assert len(talks) >= 2


def test_ids_are_unique_and_a_question_is_asked_once() -> None:
    entries = [*QUESTIONS["questions"], *QUESTIONS["conversations"]]
    assert len({entry["id"] for entry in entries}) == len(entries)
    texts = [question["question"] for question in QUESTIONS["questions"]]
    assert len(set(texts)) == len(texts)


def test_a_question_without_a_document_has_no_answer() -> None:
    for question in QUESTIONS["questions"]:
        assert (question["document"] is None) == (question["answer"] is None), question["id"]


def test_a_follow_up_asks_the_same_document_for_something_else() -> None:
    for talk in QUESTIONS["conversations"]:
        assert len(talk["turns"]) == 2
        for turn, follow_up in pairwise(talk["turns"]):
            assert turn["document"] == follow_up["document"]
            assert turn["answer"] != follow_up["answer"]


def test_the_indonesian_fees_are_those_of_the_english_documents() -> None:
    english = amounts_in("tuition-fees-and-payment.md") | amounts_in("admissions-and-registration.md")
    indonesian = amounts_in("pendaftaran-dan-biaya-kuliah.md")
    assert len(indonesian) >= 10
    assert indonesian <= english


def amounts_in(name: str) -> set[int]:
    """The sums of money a document names, in rupiah."""
    return {int(re.sub(r"\D", "", amount)) for amount in AMOUNT.findall(text_of(name))}


@pytest.mark.parametrize(
    ("english", "indonesian"),
    [
        ("final examinations are held from 14 to 23 December 2026", "14–23 Desember 2026"),
        ("Results are published on 8 January 2027 and 23 June 2027", "23 Juni 2027"),
        ("from 18 to 22 January 2027 or from 5 to 9 July 2027", "5–9 Juli 2027"),
        ("by 20 November 2026", "20 November 2026"),
        ("Odd semester 2026/2027: 10–21 August 2026", "10–21 Agustus 2026"),
        ("Even semester 2026/2027: 25 January – 5 February 2027", "25 Januari – 5 Februari 2027"),
    ],
)
def test_dates_in_english_rules_are_those_of_the_indonesian_calendar(english: str, indonesian: str) -> None:
    rules = text_of("exams-and-grading.md") + text_of("admissions-and-registration.md")
    assert english.lower() in rules.lower()
    assert indonesian in text_of("kalender-akademik-2026-2027.html")
