"""What the event loop calls with texts of strangers takes time linear in their length, whatever they are made of."""

import itertools
import unicodedata
from collections.abc import Callable
from dataclasses import replace
from heapq import nlargest

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from agents.verification.facts import shares_order
from prompts.rag import number_passages
from providers.chat.candidates import list_candidates
from providers.chat.extractive import ExtractiveChatModel, quote_request
from providers.chat.near_misses import signs
from retrieval.question import Question
from retrieval.selection import order_by_best_sentence
from tests.security.calls import CALLS, hit
from tests.security.cost import cpu_s, slowness
from tests.security.hostile import PUMPS, Shape
from utils.normal_forms import MAX_MARKS, normalize

pytestmark = pytest.mark.usefixtures("collector_of_the_service")
_PIECES = st.lists(st.sampled_from([*PUMPS, "a", "0", "A", " ", "\n", "\u0300", "\u0315"]), min_size=1, max_size=3)
_SMALL, _LARGE, _LOOKED_AT = 500, 2000, 3


@pytest.mark.long
@pytest.mark.parametrize("name", CALLS)
def test_a_call_takes_linear_time(name: str) -> None:
    call = CALLS[name]
    call("Once, for what is loaded at the first call.")
    shapes = [Shape(pump, begin, end) for pump in _pumps() for begin, end in (("", ""), ("A: ", " [1] end."))]
    costs = [(_growth(call, shape), number, shape) for number, shape in enumerate(shapes)]
    found = ((shape, slowness(_applied(call, shape), limit_s=None)) for _, _, shape in nlargest(_LOOKED_AT, costs))
    slow = [f"{shape.text(20)!r}: {why}" for shape, why in found if why]
    assert not slow, "\n".join(slow)


def test_accents_beyond_what_any_writing_has_are_left_out_and_all_others_stay() -> None:
    written = "ệ e\u0323\u0302 " + "a" + "\u0301" * MAX_MARKS + " שָׁלוֹם"
    assert normalize("NFC", written) == unicodedata.normalize("NFC", written)
    assert normalize("NFC", "a" + "\u0315\u0300" * 1000 + "b") == unicodedata.normalize(
        "NFC", "a" + "\u0315\u0300" * (MAX_MARKS // 2) + "b"
    )


def test_sentences_of_many_equal_words_are_not_compared_word_by_word() -> None:
    words = ["a", "b"] * 90
    assert cpu_s(lambda: shares_order(words, words[::-1])) < 0.05
    assert shares_order(["the", "office", "opens", "at", "eight"], ["the", "office", "opens", "at", "nine"])


def test_words_that_are_never_neighbours_are_not_tried_two_by_two() -> None:
    passage = "open " * 600 + "x " * 10 + "closed " * 600
    sentences = list_candidates(number_passages([hit(passage).passage]))
    question = "open closed " * 400
    assert cpu_s(lambda: signs(question, sentences, 0, [], {})) < 0.3


@pytest.mark.parametrize("word", ["open", "b{}", "x-b{}"])
def test_a_long_question_is_not_compared_with_each_sentence_word_by_word(word: str) -> None:
    question = Question(" ".join(word.format(number) for number in range(1000))[:5000])
    passage = ". ".join(word.format(number) for number in range(200))
    hits = [hit(f"{passage}. {number}", number) for number in range(10)]
    order_by_best_sentence(Question("When does it open?"), hits)  # its passages' words are kept
    assert cpu_s(lambda: order_by_best_sentence(question, hits)) < 0.05


@pytest.mark.parametrize("title", ["Fees", "fees and dates " * 1400])
@pytest.mark.parametrize("question", ["When is the fee of b7 due?", "When is the fee due? " * 230])
def test_quotes_from_many_sentences_below_a_long_heading_take_a_moment(title: str, question: str) -> None:
    sentences = [". ".join(f"In b{at} {number} is due" for at in range(500)) for number in range(6)]
    passages = [hit(f"# {title}\n\n{text}.", number).passage for number, text in enumerate(sentences)]
    passages = [replace(each, title=title[-20_000:], heading=f"Rules › {title}") for each in passages]
    model = ExtractiveChatModel()
    model.invoke(quote_request(question, passages[:1]))  # for what is loaded at the first call
    told: list[str] = []
    assert cpu_s(lambda: told.append(model.invoke(quote_request(question, passages)).text)) < 1
    assert "is due" in told[0]


def test_a_sentence_below_a_long_heading_is_compared_by_what_it_says() -> None:
    passage = replace(hit("It opens at eight. It closes at six.").passage, heading="h" * 20_000)
    opens, closes = list_candidates(number_passages([passage]))
    assert opens.in_context.endswith(": It opens at eight.")
    assert closes.in_context.endswith(": It closes at six.")


def _pumps() -> list[str]:
    """Those above, and some put together of them; always the same."""
    found: list[str] = []

    @settings(
        max_examples=25,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(_PIECES.map("".join))
    def collect(pump: str) -> None:
        found.append(pump)

    collect()
    return list(dict.fromkeys((*PUMPS, *found)))


def _growth(call: Callable[[str], object], shape: Shape) -> float:
    small, large = (cpu_s(_applied(call, shape)(size)) for size in (_SMALL, _LARGE))
    return large * large / max(small, 1e-5)  # what is slow and grows fast


def _applied(call: Callable[[str], object], shape: Shape) -> Callable[[int], Callable[[], object]]:
    """Calls with texts that no call was made with before: what is remembered costs nothing."""
    numbers = itertools.count()
    return lambda size: lambda: call(f"{shape.text(size)}{next(numbers)}")
