"""The set of visitors' questions: each fact it asks for stands in the document that it names."""

from collections import Counter

import pytest

from evaluation.cases import load_set
from ingestion.parsers.kinds import parse
from ingestion.parsers.parsed import Limits
from tests.service import ROOT

FOLDER = ROOT / "evaluation" / "visitors"


def read(name: str) -> str:
    path = FOLDER / "documents" / name
    return " ".join(parse(path.read_bytes(), path.name, Limits()).text.casefold().split())


@pytest.mark.parametrize("half", ["open", "sealed"])
def test_every_fact_stands_in_its_document(half: str) -> None:
    cases = load_set(FOLDER / f"{half}.jsonl").cases
    texts = {name: read(name) for name in {name for case in cases for name in case.document}}
    for case in cases:
        for forms in case.facts:
            assert any(form.casefold() in texts[case.document[0]] for form in forms), (case.question, forms)
    kinds = Counter(case.kind for case in cases)
    assert kinds.keys() == {
        "direct", "far", "table", "list", "cross-language", "follow-up", "near miss", "small talk",
    }  # fmt: skip
    assert Counter(case.language for case in cases).keys() == {"en", "es", "id"}


def test_the_halves_ask_about_other_documents() -> None:
    halves = [
        {name for case in load_set(FOLDER / f"{half}.jsonl").cases for name in case.document}
        for half in ("open", "sealed")
    ]
    assert halves[0].isdisjoint(halves[1])
    assert len(halves[0] | halves[1]) == 30
