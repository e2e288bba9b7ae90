"""A chat model without a language model: it quotes the sentences of the passages that answer the question."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage, SystemMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from pydantic import SkipValidation

from prompts.rag import NOT_IN_DOCUMENTS_MARK, NumberedPassage, parse_passages
from providers.chat.followups import standalone_question
from providers.chat.near_misses import lacks_answer
from providers.chat.selection import ON_TOPIC, Candidate, candidates, select_quotes, sentence_scores, word_scores
from utils.errors import ProviderError
from utils.long_texts import process_text
from utils.ports import Embedder

__all__ = ["ExtractiveChatModel", "standalone_question"]

logger = logging.getLogger(__name__)

METADATA = {"model_name": "extractive", "language_model": False}
# Embedding a sentence takes about 50 ms of CPU, so only the first passages' sentences are compared by meaning.
_AT_ONCE = 16_000  # characters of a prompt, see `process_text`
_COMPARED_PASSAGES, _COMPARED_SENTENCES = 2, 12


class ExtractiveChatModel(BaseChatModel):
    """Answers with sentences of the passages that `prompts.rag` put into the system message, each with its `[n]`.

    The question is the last human message, understandable by itself. The answer is at most *max_chars* long with its
    marks, in the language of the documents. A question that the passages come near without answering it gets
    `NOT_IN_DOCUMENTS_MARK`, as a language model is told to say. With an *embedder* the async calls can also tell which
    sentence answers a question in another language; the sync ones go by words alone. `response_metadata` says that no
    language model was used.
    """

    embedder: SkipValidation[Embedder | None] = None
    max_chars: int = 400
    comparing_s: float = 3.0  # while documents are being indexed the embedder is busy: then go by words

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
        return _result(self._pieces(messages))

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return _result(await self._pieces_by_meaning(messages))

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        # LangChain's core tells the run manager of each chunk.
        yield from _chunks(self._pieces(messages))

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        for chunk in _chunks(await self._pieces_by_meaning(messages)):
            yield chunk

    def _pieces(self, messages: Sequence[BaseMessage]) -> list[str]:
        question, passages = _read(messages)
        return self._answer(question, passages, candidates(passages), None)

    async def _pieces_by_meaning(self, messages: Sequence[BaseMessage]) -> list[str]:
        size = sum(len(message.text) for message in messages)

        def read() -> tuple[str, list[NumberedPassage], list[Candidate], float]:
            question, passages = _read(messages)
            sentences = candidates(passages)
            return question, passages, sentences, max(word_scores(question, sentences), default=1.0)

        question, passages, sentences, share = await process_text(read, characters=size, at_once=_AT_ONCE)
        likeness = await self._likeness(question, sentences) if share < ON_TOPIC else None
        answer = partial(self._answer, question, passages, sentences, likeness)
        return await process_text(answer, characters=size, at_once=_AT_ONCE)

    def _answer(
        self,
        question: str,
        passages: Sequence[NumberedPassage],
        sentences: list[Candidate],
        likeness: list[float] | None,
    ) -> list[str]:
        if not sentences:
            return [NOT_IN_DOCUMENTS_MARK]
        scores = sentence_scores(question, sentences, likeness)
        quotes = select_quotes(question, sentences, scores, max_chars=self.max_chars)
        titles = {passage.number: f"{passage.title}\n{passage.heading}" for passage in passages}
        best = scores.index(max(scores))
        # In another language than the documents', the words of a question show nothing.
        by_words = likeness is None and max(word_scores(question, sentences)) >= ON_TOPIC
        if by_words and lacks_answer(question, sentences, best, quotes, titles):
            return [NOT_IN_DOCUMENTS_MARK]
        return [str(quote) for quote in quotes]

    async def _likeness(self, question: str, sentences: list[Candidate]) -> list[float] | None:
        """Similarities in standard deviations, the lowest for sentences not compared; None if they cannot be had."""
        compared = [s.text for s in sentences if s.rank < _COMPARED_PASSAGES][:_COMPARED_SENTENCES]
        if not self.embedder or len(compared) < 2:
            return None
        try:
            async with asyncio.timeout(self.comparing_s):
                vectors = await self.embedder.embed_passages(compared)
                similarities = vectors @ await self.embedder.embed_query(question)
        except (ProviderError, TimeoutError) as exc:
            logger.warning("Choosing sentences by words alone: the embedding model did not answer.", exc_info=exc)
            return None
        deviations = (similarities - similarities.mean()) / max(float(similarities.std()), 1e-6)
        return [*deviations.tolist(), *[float(np.min(deviations))] * (len(sentences) - len(compared))]


def _read(messages: Sequence[BaseMessage]) -> tuple[str, list[NumberedPassage]]:
    """The question and what can be quoted: from the system message alone, no question brings its own passages."""
    question = next((m.text for m in reversed(messages) if isinstance(m, HumanMessage)), "")
    prompt = "\n".join(m.text for m in messages if isinstance(m, SystemMessage))
    return question, parse_passages(prompt)


def _result(pieces: Sequence[str]) -> ChatResult:
    message = AIMessage(" ".join(pieces), response_metadata=dict(METADATA))
    return ChatResult(generations=[ChatGeneration(message=message)])


def _chunks(pieces: Sequence[str]) -> Iterator[ChatGenerationChunk]:
    """A chunk a piece; the last one carries the metadata, since merging chunks would repeat its strings."""
    for number, piece in enumerate(pieces, 1):
        last = number == len(pieces)
        message = AIMessageChunk(
            content=piece if last else f"{piece} ",
            response_metadata=dict(METADATA) if last else {},
            chunk_position="last" if last else None,
        )
        yield ChatGenerationChunk(message=message)
