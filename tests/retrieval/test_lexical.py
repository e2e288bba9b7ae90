"""Questions find passages by their words in every language, seen through an index."""

from dataclasses import replace

import pytest

from retrieval.index import PassageIndex
from retrieval.lexical import Lexicon, RememberingLexicon
from tests.retrieval.corpus import ACME, GLOBEX, passage, texts

NOISE = passage("12345")


async def assert_found_by_its_tenant(index: PassageIndex, language: str, text: str, question: str) -> None:
    """A passage of one tenant is found by its words, by that tenant alone."""
    there = passage(text, language=language)
    await index.put(ACME, [there, NOISE])
    await index.put(GLOBEX, [NOISE])
    assert texts(await index.search(ACME, question, None, limit=5)) == [text]
    assert await index.search(GLOBEX, question, None, limit=5) == []


@pytest.mark.parametrize(
    ("language", "text", "question"),
    [
        ("en", "The libraries were opening earlier.", "When does a library open?"),
        ("es", "Las bibliotecas abrían más temprano.", "¿Cuándo abre la BIBLIOTECA?"),
        ("es", "Matrícula de otoño", "matricula de otono"),
        ("id", "Perpustakaan buka pukul sembilan.", "Kapan perpustakaan dibuka?"),
        ("fr", "La bibliothèque ouvre à neuf heures.", "À quelle heure ouvre la bibliotheque ?"),
        ("fr", "Élève", "eleve"),
        ("ru", "Библиотека открывается в девять.", "когда открывается библиотека"),
        ("zh", "图书馆早上九点开门", "图书馆几点开门"),
        ("ja", "図書館の開館時間は九時です", "図書館は何時に開館しますか"),
        ("th", "ห้องสมุดเปิดเก้าโมงเช้า", "ห้องสมุดเปิดกี่โมง"),
    ],
)
async def test_a_question_finds_a_passage_in_its_language(
    index: PassageIndex, language: str, text: str, question: str
) -> None:
    await assert_found_by_its_tenant(index, language, text, question)


@pytest.mark.parametrize(
    ("language", "text", "question"),
    [
        ("id", "Harga sewa kamar asrama tiga juta.", "How much is the rent of a dormitory room?"),
        ("en", "Dogs wait outside the museum.", "¿Puedo entrar con mi perro?"),
        ("es", "El tren al aeropuerto sale a las seis.", "kereta bandara berangkat jam berapa ya kak?"),
    ],
)
async def test_a_question_finds_a_passage_in_another_language_by_translations_of_its_words(
    index: PassageIndex, language: str, text: str, question: str
) -> None:
    await assert_found_by_its_tenant(index, language, text, question)


def test_the_translations_of_a_word_weigh_no_more_than_the_word_itself() -> None:
    terms = Lexicon().make_question_terms("How much is the fee?")
    weights = sorted(terms.values)
    assert weights[-1] == 1.0
    assert 0 < sum(weight for weight in weights if weight < 1) <= 2.0001  # in two languages


@pytest.mark.parametrize("guess", ["es", "id", "fr", "ja"])
async def test_small_words_do_not_match_a_passage_whose_language_was_guessed_wrong(
    index: PassageIndex, guess: str
) -> None:
    right = [passage(f"The dean of faculty {n} is elected for the term of {n} years.") for n in range(9)]
    wrong = replace(passage("What is the time for the bus and who is the driver of it?"), language=guess)
    for tenant in (ACME, GLOBEX):
        await index.put(tenant, [*right, wrong])
    hits = await index.search(ACME, "Who is the dean of the faculty and what is the term?", None, limit=20)
    assert set(texts(hits)) == {each.text for each in right}


def test_a_term_stands_once_however_many_languages_share_it() -> None:
    terms = Lexicon().make_question_terms("kilometre kilometre KILOMETRE")
    assert len(terms.indices) == len(set(terms.indices)) == len(terms.values)


def test_terms_of_a_longer_passage_weigh_less() -> None:
    lexicon = Lexicon()
    short, long = passage("amber"), passage("amber " + " ".join(f"word{n}" for n in range(300)))
    [index] = lexicon.make_question_terms("amber").indices
    weights = [
        dict(zip(t.indices, t.values, strict=True))[index] for t in map(lexicon.make_passage_terms, (short, long))
    ]
    assert weights[0] > weights[1] > 0


def test_remembered_terms_are_those_of_the_passage_as_it_is_now() -> None:
    remembering, plain = RememberingLexicon(), Lexicon()
    before = passage("Perpustakaan dibuka", language="id")
    for each in (before, before, replace(before, text="Closed for good."), replace(before, language="en"), before):
        assert remembering.make_passage_terms(each) == plain.make_passage_terms(each)
