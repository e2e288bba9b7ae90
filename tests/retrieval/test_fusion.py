"""The fusion of two rankings, against its formula and at its edges."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from retrieval.fusion import Scores, fuse, level_scores
from retrieval.ranking import Candidates, rank

WAITING = np.nan

lengths = st.shared(st.integers(2, 12), key="length")
# Steps of a tenth: BM25 and cosine never differ by a hair only.
lexical_scores = lengths.flatmap(lambda n: arrays(float, n, elements=st.integers(0, 300).map(lambda x: x / 10)))
dense_scores = lengths.flatmap(lambda n: arrays(float, n, elements=st.integers(-10, 10).map(lambda x: x / 10)))


def scores(*values: float) -> Scores:
    return np.array(values, dtype=np.float64)


@given(lexical_scores, dense_scores)
def test_with_both_scores_known_it_is_the_weighted_sum_of_z_scores(lexical: Scores, dense: Scores) -> None:
    def z(values: Scores) -> Scores:
        spread = np.sqrt(((values - values.mean()) ** 2).mean())
        return (values - values.mean()) / spread if len(set(values)) > 1 else values * 0

    assert fuse(lexical, dense) == pytest.approx(0.3 * z(lexical) + 0.7 * z(dense), abs=1e-9)


@given(lexical_scores, dense_scores, st.floats(0.1, 50), st.floats(-5, 5))
def test_the_scale_of_a_ranking_does_not_matter(lexical: Scores, dense: Scores, scale: float, shift: float) -> None:
    assert fuse(lexical * scale + shift, dense) == pytest.approx(fuse(lexical, dense), abs=1e-6)


@given(lexical_scores)
def test_without_any_vector_the_ranking_is_the_lexical_one(lexical: Scores) -> None:
    fused = fuse(lexical, np.full_like(lexical, WAITING))
    assert np.isfinite(fused).all()
    assert [np.sign(np.diff(fused[[a, a + 1]])[0]) for a in range(len(fused) - 1)] == [
        np.sign(np.diff(lexical[[a, a + 1]])[0]) for a in range(len(lexical) - 1)
    ]


@given(lexical_scores, dense_scores, st.data())
def test_a_waiting_passage_counts_by_its_words_up_to_the_best_meaning(
    lexical: Scores, dense: Scores, data: st.DataObject
) -> None:
    waiting = data.draw(arrays(bool, len(dense)).filter(lambda mask: not mask.all()))
    fused = fuse(lexical, np.where(waiting, WAITING, dense))
    assert np.isfinite(fused).all()
    ranked = sorted(np.flatnonzero(waiting), key=lambda at: float(lexical[at]))
    assert [fused[at] for at in ranked] == sorted(fused[at] for at in ranked)
    # Its words being the best and its meaning taken for the best there is, nothing stands above it.
    if len(ranked) and lexical[ranked[-1]] == lexical.max() and len(set(dense[~waiting])) > 1:
        by_words = (lexical.max() - lexical.mean()) / (lexical.std() or 1)
        known = dense[~waiting]
        best = (known.max() - known.mean()) / known.std()
        assert fused[ranked[-1]] == pytest.approx(0.3 * by_words + 0.7 * min(by_words, best), abs=1e-9)


def test_a_waiting_passage_that_is_best_by_words_outranks_the_middling_rest() -> None:
    fused = fuse(scores(9, 3, 2, 1), scores(WAITING, 0.85, 0.80, 0.75))
    assert fused.argmax() == 0


def test_scores_that_are_all_the_same_say_nothing() -> None:
    assert fuse(scores(2, 2, 2), scores(0.1, 0.9, 0.5)).argsort().tolist() == [0, 2, 1]
    assert fuse(scores(1, 3, 2), scores(0.8, 0.8, 0.8)).argsort().tolist() == [0, 2, 1]
    assert fuse(scores(0, 0), scores(0, 0)).tolist() == [0, 0]


def test_one_candidate_or_none_is_no_special_case() -> None:
    assert fuse(scores(3.0), scores(0.8)).tolist() == [0]
    assert fuse(scores(3.0), scores(WAITING)).tolist() == [0]
    assert fuse(scores(), scores()).tolist() == []


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=20), st.data())
def test_one_language_alone_is_ranked_as_without_languages(dense: list[float], data: st.DataObject) -> None:
    lexical = np.array([data.draw(st.floats(0, 30)) for _ in dense])
    plain, levelled = np.array(dense), level_scores(np.array(dense), ["en"] * len(dense))
    assert np.allclose(levelled - levelled[0], plain - plain[0])
    assert np.allclose(fuse(lexical, levelled), fuse(lexical, plain), atol=1e-6)


def test_the_best_of_a_language_that_the_model_places_farther_comes_level_with_the_best_of_the_nearer() -> None:
    dense = np.array([0.90, 0.86, 0.86, 0.85, 0.82, 0.78, 0.78, 0.77])
    levelled = level_scores(dense, ["en"] * 4 + ["id"] * 4)
    assert levelled[4] == pytest.approx(levelled[0], abs=0.03)
    assert levelled[4] > levelled[1]


def test_a_passage_in_another_language_is_not_held_back_by_words_it_cannot_share() -> None:
    lexical, dense = np.array([9.0, 8.0, 0.0]), np.array([0.1, 0.0, 0.9])
    foreign = np.array([False, False, True])
    assert np.argmax(fuse(lexical, dense, foreign)) == 2
    assert fuse(lexical, dense, foreign)[2] > fuse(lexical, dense)[2]
    assert np.allclose(fuse(lexical, dense, foreign)[:2], fuse(lexical, dense)[:2])


def test_words_count_for_less_where_all_passages_are_in_another_language() -> None:
    found = Candidates({1: 9.0, 2: 0.0, 3: 0.0}, {1: 0.1, 2: 0.9, 3: 0.5}, dict.fromkeys((1, 2, 3), "es"))
    scores = [
        {item.point: item.score for item in rank(found, question, limit=3)}
        for question in ("¿Cuánto cuesta una habitación en la residencia?", "How much does a room in the house cost?")
    ]
    assert scores[1][1] < scores[0][1], "it has the words"
    assert scores[1][2] > scores[0][2], "it has the meaning"
