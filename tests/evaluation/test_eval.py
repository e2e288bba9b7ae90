"""`flask eval`: the gate over the sample library, what it measures, keeps and compares, and what it refuses."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from app import create_app
from config import load_settings
from evaluation.asking import AskedOutcome, Shown
from evaluation.cases import Case, load_set
from evaluation.measures import compute_figure, find_missed_floors, grade, measure_question, summarize
from evaluation.runs import Run, compare, find_last_run, keep
from tests.service import Library, Service, free_port
from utils.errors import BadInput

SAMPLES = Path(__file__).with_name("samples.yaml")
FEES = Case(question="How much?", language="en", document=["fees.md"], answer=["IDR 5"])
ABSENT = Case(question="Who?", language="es", unanswerable=True)
NEAR = Case(question="Since when?", language="en", unanswerable=True, near_miss=True)


Eval = Callable[..., Result]


@pytest.fixture
def flask_eval(service: Service, tmp_path: Path) -> Eval:
    """`flask eval` with a data folder of its own unless `data_dir` names another."""

    def run(*arguments: object, data_dir: Path = tmp_path / "data") -> Result:
        app = create_app(load_settings(data_dir=data_dir))
        return app.test_cli_runner().invoke(args=["eval", *map(str, arguments)])

    return run


@pytest.fixture
def samples_alone(library: Library, tmp_path: Path) -> Iterator[Service]:
    """A service of its own: in the shared one, documents of other tests may answer what the samples do not."""
    with library.service(tmp_path / "samples", RATE_LIMIT_ENABLED="false") as running:
        yield running


@pytest.mark.first
@pytest.mark.long
def test_the_sample_library_is_searched_well_enough_in_each_language(samples_alone: Service, flask_eval: Eval) -> None:
    at_service = ("--url", samples_alone.url, "--key", samples_alone.key, "--json")
    done = flask_eval(SAMPLES, *at_service)
    [outcome] = json.loads(done.stdout)
    assert outcome["missed_floors"] == []
    assert done.exit_code == 0
    assert set(outcome["figures"]) == {"all", "en", "es", "id"}
    assert len(outcome["rows"]) == 43
    [again] = json.loads(flask_eval(SAMPLES, *at_service, "--against", "last").stdout)
    assert again["against"]["before"] == outcome["at"]
    assert (again["against"]["lost"], again["against"]["gained"]) == ([], [])


def test_a_tenant_without_documents_misses_the_floors(
    service: Service, key_without_documents: str, flask_eval: Eval
) -> None:
    done = flask_eval(SAMPLES, "--url", service.url, "--key", key_without_documents)
    assert done.exit_code == 1
    assert "Missed floor: recall@5: 0.0000" in done.stdout
    assert re.search(r"refused_absent +1\.000", done.stdout)


def test_an_index_in_use_and_a_service_away_are_told(service: Service, flask_eval: Eval) -> None:
    done = flask_eval(SAMPLES, data_dir=service.data_dir)
    assert done.exit_code == 1
    assert "--url" in done.stderr
    done = flask_eval(SAMPLES, "--url", f"http://127.0.0.1:{free_port()}", "--key", "none")
    assert done.exit_code == 1
    assert "does not answer" in done.stderr
    done = flask_eval(SAMPLES, "--url", service.url, "--key", "ak_live_wrong")
    assert (done.exit_code, "401" in done.stderr) == (1, True)


def test_answers_are_measured_with_their_quotes(service: Service, flask_eval: Eval, tmp_path: Path) -> None:
    cases = tmp_path / "cases.jsonl"
    wash = {"question": "How much does a wash in the laundry cost?", "document": "student-dormitory.md"}
    lines = [wash | {"answer": "12,000"}, {"question": "Who composed the opera Carmen?", "unanswerable": True}]
    cases.write_text("\n".join(map(json.dumps, lines)))
    done = flask_eval(cases, "--answers", "--url", service.url, "--key", service.key, "--json")
    [outcome] = json.loads(done.stdout)
    figures = {name: each["value"] for name, each in outcome["figures"]["all"].items()}
    wanted = ("answer_contained", "citation_precision", "quote_holds_answer", "sentences_supported", "refused_far")
    assert [figures[name] for name in wanted] == [1, 1, 1, 1, 1]


def test_a_set_with_its_own_documents_is_measured_over_those_alone(flask_eval: Eval, tmp_path: Path) -> None:
    corpus = [
        {"id": "a", "title": "Ferry", "lang": "en", "text": "The ferry to the island leaves at seven every Monday."},
        {"id": "b", "title": "Rooms", "lang": "en", "text": "A single room costs 900 a month, heating included."},
    ]
    asked = {"question": "When does the ferry leave?", "lang": "en", "gold": ["a"], "answers": ["at seven"]}
    absent = {"question": "Who wrote Don Quixote?", "lang": "en", "gold": ["a"], "answers": []}
    write_public(tmp_path, corpus, [asked | {"answerable": True}, absent | {"answerable": False}])
    done = flask_eval(tmp_path / "tiny", "--answers", "--json")
    [outcome] = json.loads(done.stdout)
    figures = {name: each["value"] for name, each in outcome["figures"]["en"].items()}
    wanted = ("recall@1", "answer_contained", "citation_precision", "refused_near_miss")
    assert [figures[name] for name in wanted] == [1, 1, 1, 1]
    refused = flask_eval(tmp_path / "tiny", "--url", "http://127.0.0.1:9", "--key", "k")
    assert "without --url" in refused.stderr


def write_public(folder: Path, corpus: list[dict[str, Any]], queries: list[dict[str, Any]]) -> None:
    """The set `tiny` in *folder*."""
    for kind, rows in (("corpus", corpus), ("queries", queries)):
        (folder / f"tiny.{kind}.jsonl").write_text("\n".join(map(json.dumps, rows)))


def shown(text: str, source: str = "/files/fees.md") -> Shown:
    return Shown(frozenset({"d-1", "Fees"}), source, text)


@pytest.mark.parametrize(
    ("passages", "place"),
    [
        ([shown("It costs  idr 5 a day.")], 0),
        ([shown("It is free."), shown("IDR 5", "/files/other-fees.md"), shown("IDR 5")], 2),
        ([shown("IDR 5", "/files/other-fees.md")], None),
        ([], None),
        ([*[shown("no")] * 10, shown("IDR 5")], None),
    ],
)
def test_a_right_passage_is_of_a_right_document_and_holds_an_answer(passages: list[Shown], place: int | None) -> None:
    row = measure_question(FEES, AskedOutcome(passages, answered=True))
    expected = [0.0, 0.0] if place is None else [float(place < 1), float(place < 5)]
    assert [row["recall@1"], row["recall@5"]] == expected
    assert row["mrr@10"] == (0 if place is None else 1 / (place + 1))
    assert row["ndcg@10"] == pytest.approx({0: 1, 2: 0.5, None: 0}[place])
    assert row["answered_present"] == 1


def test_citations_count_by_their_document_and_their_words() -> None:
    quotes = [shown("IDR 5 a day"), shown("IDR 6", "/files/other.md")]
    row = measure_question(FEES, AskedOutcome([], answered=True, answer="It is IDR 5.", quotes=quotes))
    assert (row["answer_contained"], row["citation_precision"], row["quote_holds_answer"]) == (1, 0.5, 1)
    refused = measure_question(FEES, AskedOutcome([], answered=False, answer=""))
    assert refused["answer_contained"] == refused["answered_present"] == 0
    assert "citation_precision" not in refused


FEE_AND_DAY = Case(
    question="How much, and when?",
    kind="direct",
    document=["fees.md"],
    facts=[["IDR 5", "Rp5"], ["Monday"]],
    contradicted_by=["IDR 9"],
)
CITED, FOREIGN = shown("IDR 5"), shown("IDR 5", "/files/other.md")


@pytest.mark.parametrize(
    ("answer", "quotes", "expected"),
    [
        ("Rp5, on a monday.", [CITED], "right"),
        ("Rp5, on a Monday.", [CITED, FOREIGN], "right"),
        ("Rp5, on a Monday.", [FOREIGN, CITED], "partly"),
        ("Rp5, on a Monday.", [FOREIGN], "wrong"),
        ("IDR 5.", [CITED], "partly"),
        ("IDR 5 on a Monday, IDR 9 on Sundays.", [CITED], "partly"),
        ("Rp5, on a Monday." + " And so on." * 70, [CITED], "partly"),
        ("IDR 9.", [CITED], "wrong"),
    ],
)
def test_an_answer_is_graded_by_its_document_its_facts_and_its_length(
    answer: str, quotes: list[Shown], expected: str
) -> None:
    assert grade(FEE_AND_DAY, AskedOutcome([], answered=True, answer=answer, quotes=quotes)) == expected


def test_what_is_said_to_be_uncertain_counts_apart() -> None:
    unsure = AskedOutcome([], answered=True, answer="It opens at 8.", is_uncertain=True)
    sure = AskedOutcome([], answered=True, answer="It opens at 8.")
    near = NEAR.model_copy(update={"kind": "near"})
    assert [grade(near, unsure), grade(near, sure), grade(near, AskedOutcome([], answered=False, answer=""))] == [
        "right",
        "wrong",
        "right",
    ]
    assert [measure_question(FEE_AND_DAY, each)["sure_but_wrong"] for each in (unsure, sure)] == [0, 1]
    talk = Case(question="Hello!", small_talk=True)
    assert [
        grade(talk, each) for each in (sure, AskedOutcome([], answered=True, answer="Hello.", is_small_talk=True))
    ] == [
        "wrong",
        "right",
    ]
    assert grade(FEE_AND_DAY, AskedOutcome([], answered=False, answer="")) == "refused"


def test_the_facts_may_stand_in_several_of_the_passages_that_an_answer_is_made_from() -> None:
    def find(between: int, text: str = "no") -> tuple[float, float]:
        passages = [shown("IDR 5"), *[shown(text)] * between, shown("Monday")]
        row = measure_question(FEE_AND_DAY, AskedOutcome(passages, answered=True))
        return row["facts_found"], row["facts_found@6"]

    assert [find(4), find(5), find(10), find(11)] == [(1, 1), (1, 0), (1, 0), (0, 0)]
    assert [find(4, "no" * 1000), find(5, "no" * 1000)] == [(1, 1), (0, 0)], "more of them only where they are short"


def test_refusals_are_counted_apart_for_near_misses() -> None:
    assert measure_question(NEAR, AskedOutcome([shown("x")], answered=True)) == {
        "refused_absent": 0,
        "refused_near_miss": 0,
    }
    assert measure_question(ABSENT, AskedOutcome([], answered=False)) == {"refused_absent": 1, "refused_far": 1}


def test_a_figure_says_how_sure_it_is() -> None:
    sure, unsure = compute_figure([1.0] * 50), compute_figure([1.0, 0.0] * 5)
    assert (sure.value, sure.low, sure.high, sure.n) == (1, 1, 1, 50)
    assert unsure.low < 0.4 < unsure.value < 0.6 < unsure.high
    assert compute_figure([1.0, 0.0] * 5) == unsure


def test_floors_are_of_all_questions_or_of_one_language() -> None:
    rows = [
        measure_question(FEES, AskedOutcome([shown("IDR 5")], answered=True)),
        measure_question(ABSENT, AskedOutcome([], answered=True)),
    ]
    figures = summarize([FEES, ABSENT], rows)
    assert find_missed_floors(figures, {"recall@5": 1.0, "en.recall@5": 1.0}) == []
    missed = find_missed_floors(figures, {"refused_far": 0.5, "es.recall@5": 0.5, "fr.recall@5": 0.1})
    assert [line.split(":")[0] for line in missed] == ["refused_far", "es.recall@5", "fr.recall@5"]


def kept_run(folder: Path, at: str, found: dict[str, float]) -> Run:
    rows = {question: {"recall@5": value} for question, value in found.items()}
    figures = {"all": {"recall@5": compute_figure(list(found.values()))}}
    run = Run("a-set", "retrieval", at, figures, rows)
    keep(folder, run)
    return run


def test_a_run_is_compared_with_the_newest_that_was_kept_whole(tmp_path: Path) -> None:
    assert find_last_run(tmp_path, name="a-set", mode="retrieval") is None
    many = {f"q{n}": 1.0 for n in range(30)}
    kept_run(tmp_path, "2026-01-01T00:00:00.000001+00:00", {"lost": 0.0, "new": 0.0})
    before = kept_run(tmp_path, "2026-01-02T00:00:00.000001+00:00", {"lost": 1.0, "gone": 1.0, "new": 0.0, **many})
    (tmp_path / "a-set" / "retrieval-2026-01-03T000000.json").write_text('{"name": "cut o')
    assert find_last_run(tmp_path, name="a-set", mode="retrieval") == before
    assert find_last_run(tmp_path, name="a-set", mode="answers") is None
    now = kept_run(tmp_path, "2026-01-04T00:00:00.000001+00:00", {"lost": 0.0, "new": 1.0, "other": 1.0, **many})
    comparison = compare(before, now)
    [change] = comparison.changes
    assert (comparison.lost, comparison.gained) == (["lost"], ["new"])
    assert (change.before, change.now, change.n, change.is_sure) == (0.9688, 0.9688, 32, False)
    worse = kept_run(tmp_path, "2026-01-05T00:00:00.000001+00:00", dict.fromkeys(many, 0.0))
    assert [change.is_sure for change in compare(now, worse).changes] == [True]


def test_a_public_set_counts_the_same_paragraph_under_two_ids_as_one(tmp_path: Path) -> None:
    corpus = [{"id": name, "title": "T", "lang": "en", "text": text} for name, text in (("a", "x  y"), ("b", "x y"))]
    queries = [
        {"question": "Where?", "lang": "en", "gold": ["a"], "answers": ["y"], "answerable": True},
        {"question": "Why?", "lang": "en", "gold": ["a"], "answers": [], "answerable": False},
    ]
    write_public(tmp_path, corpus, queries)
    for named in ("tiny", "tiny.queries.jsonl"):
        loaded = load_set(tmp_path / named)
        assert (loaded.name, loaded.cases[0].document, loaded.cases[1].near_miss) == ("tiny", ["a", "b"], True)
        assert len(loaded.corpus) == 2


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("none.yaml", None, "no question set"),
        ("a.yaml", "questions: [", "not YAML"),
        ("a.yaml", "- a list", "as a whole"),
        ("a.yaml", "questions: []", "questions"),
        ("a.yaml", "questions: [{question: x}]", "questions.0"),
        ("a.yaml", "questions: [{question: x, answer: y, unanswerable: true}]", "questions.0"),
        ("a.yaml", "questions: [{question: x, answer: y, near_miss: true}]", "near_miss"),
        ("a.yaml", "questions: [{question: x, answr: y}]", "answr"),
        ("a.yaml", "name: ../../etc\nquestions: [{question: x, answer: y}]", "name"),
        ("a.yaml", "questions: !!python/object/apply:os.system [ls]", "not YAML"),
        ("a.jsonl", '{"question": "x", "answer": "y"}\n{', "line 2"),
        ("a.queries.jsonl", '{"question": "x"}', "public set"),
    ],
)
def test_a_set_that_cannot_be_used_says_where(tmp_path: Path, name: str, content: str | None, said: str) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)
    (tmp_path / "a.corpus.jsonl").write_text("")
    with pytest.raises(BadInput, match=said):
        load_set(tmp_path / name)
