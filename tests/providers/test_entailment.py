"""The model for entailment in a folder of the operator's: both kinds that are exported, and folders that hold none."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from providers.entailment.onnx import OnnxEntailment, UnusableModel
from tests.entailment_model import write_model
from utils.errors import ProviderUnavailable

PASSAGE = "Rent covers water and internet. Rent is due on the fifth day of each month."
TRUE, INVENTED = "Water and internet rent covers.", "Rent covers laundry."
WORDS = [PASSAGE, TRUE, INVENTED]


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[OnnxEntailment]:
    model = OnnxEntailment(folder)
    yield model
    await model.aclose()


@pytest.mark.parametrize("kind", ["pairs", "tokens"])
async def test_a_sentence_is_scored_by_its_passage_in_order(tmp_path: Path, kind: str) -> None:
    async with opened(write_model(tmp_path, WORDS, kind)) as model:
        scores = await model.score([(PASSAGE, INVENTED), (PASSAGE, TRUE)] * 11)
    assert len(scores) == 22
    assert max(scores[0::2]) < 0.1
    assert min(scores[1::2]) > 0.5


async def test_nothing_is_scored_where_nothing_is_asked(tmp_path: Path) -> None:
    async with opened(write_model(tmp_path, WORDS, "pairs")) as model:
        assert (await model.score([])).shape == (0,)


@pytest.mark.parametrize("kind", ["pairs", "tokens"])
async def test_a_long_passage_loses_its_end_and_the_sentence_is_read_whole(tmp_path: Path, kind: str) -> None:
    async with opened(write_model(tmp_path, WORDS, kind)) as model:
        true, invented = await model.score([(PASSAGE * 5000, TRUE), (PASSAGE * 5000, INVENTED)])
    assert true > 0.5 > invented


async def test_a_model_that_counts_places_from_two_gets_as_many_tokens_as_it_has_left(tmp_path: Path) -> None:
    async with opened(write_model(tmp_path, WORDS, "pairs", model_type="roberta")) as model:
        true, invented = await model.score([(PASSAGE * 5000, TRUE), (PASSAGE * 5000, INVENTED)])
    assert true > 0.5 > invented


async def test_a_model_that_fails_is_told_as_one_that_does_not_answer(tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    write_model(tmp_path, WORDS, "pairs")
    config.write_text(config.read_text().replace("256", "1000"))  # it has fewer places than it says
    async with opened(tmp_path) as model:
        with pytest.raises(ProviderUnavailable, match="failed"):
            await model.score([(PASSAGE * 5000, TRUE)])
        [true] = await model.score([(PASSAGE, TRUE)])
    assert true > 0.5


@pytest.mark.parametrize("text", ["", "\x00", "\ud800 half a pair", "لا", "word " * 5000, "\u202e\ufffe 😀"])
async def test_whatever_a_sentence_or_passage_is_it_gets_a_score(tmp_path: Path, text: str) -> None:
    async with opened(write_model(tmp_path, WORDS, "pairs")) as model:
        scores = await model.score([(PASSAGE, text), (text, TRUE), (text, text)])
    assert all(0 <= score <= 1 for score in scores)


async def test_a_label_that_says_invented_is_turned_round(tmp_path: Path) -> None:
    labels = {0: "HALLUCINATED", 1: "OTHER"}  # in another order than usual, so that it scores the other way
    async with opened(write_model(tmp_path, WORDS, "pairs", labels)) as model:
        [true] = await model.score([(PASSAGE, TRUE)])
    assert true > 0.5


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json", "config.json"])
def test_a_file_that_is_missing_or_no_such_file_is_named(tmp_path: Path, name: str) -> None:
    write_model(tmp_path, WORDS, "pairs")
    (tmp_path / name).write_bytes(b"\x89PNG and something else")
    with pytest.raises(UnusableModel, match="cannot be read"):
        OnnxEntailment(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(UnusableModel, match=name):
        OnnxEntailment(tmp_path)


def test_labels_that_do_not_say_what_is_supported_are_refused_by_their_names(tmp_path: Path) -> None:
    write_model(tmp_path, WORDS, "pairs", {0: "cat", 1: "dog"})
    with pytest.raises(UnusableModel, match=r"\['cat', 'dog'\]"):
        OnnxEntailment(tmp_path)
