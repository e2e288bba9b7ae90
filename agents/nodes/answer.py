"""The step that answers from the passages, streaming as it goes."""

import logging
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import cached_property
from itertools import chain

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage, SystemMessage
from langgraph.runtime import Runtime

from agents.citations import Citation, bind_citations
from agents.conflicts.notes import note_conflicts
from agents.messages import answer_message, drop_tool_messages, make_model_messages
from agents.nodes.done_calls import list_used_passages, note_done_calls
from agents.nodes.near_questions import explain_by_tools
from agents.nodes.refuse import refuse_answer
from agents.nodes.verify import SupportFilter, verify
from agents.state import AgentContext, AnswerModel, ChatState, end_turn
from agents.tools.state import describe_calls, find_search, list_unsuccessful
from agents.verification.verdict import shift
from prompts.rag import (
    FOUND_IN,
    IS_UNCERTAIN,
    NOT_IN_DOCUMENTS_MARK,
    get_closest_passages_lead,
    get_foreign_quotes_lead,
    make_system_prompt,
)
from prompts.small_talk import names_heading
from prompts.tools import Outcome, format_outcomes
from providers.answer_limits import LONGEST_ANSWER
from providers.chat.extractive import standalone_question
from providers.chat.quote_requests import Rest, quote_request
from retrieval.answerability import Verdict
from utils.errors import ProviderBusy, ProviderError, ProviderTimeout, ProviderUnavailable
from utils.language import detect_any_language
from utils.passages import Hit
from utils.ports import FallbackReason

logger = logging.getLogger(__name__)

_CUT = f"The model's answer is cut after {LONGEST_ANSWER:,} characters."
_NOT_WHOLE = "The model's answer is incomplete: its endpoint stopped it at a token limit or by a content filter."
_CUT_SHORT = ("length", "content_filter")  # reasons to finish
_MODEL_IS_AWAY = "The language model is not available. These are quotes from {}."
_QUOTED = {
    (False,): "the documents",
    (True,): "what tools said",
    (False, True): "the documents and from what tools said",
}
_REASONS: Mapping[type[ProviderError], FallbackReason] = {ProviderTimeout: "model-timeout", ProviderBusy: "model-busy"}
_SHOWN_AT_ONCE, _BOUND_AT_ONCE, _NOTED_AT_ONCE = 64_000, 16_000, 4_000  # characters of passages, see `process_text`


async def answer(state: ChatState, runtime: Runtime[AgentContext]) -> dict[str, object]:
    """Answer the newest question from the passages, with a `[n]` mark after each sentence, and check the sentences.

    Reads `messages`, `query` and `passages`; adds the answer to `messages`, with its citations and its support.
    Where another passage says something else, that is told behind it. Streams `token` events, then one of `support`. A
    model that finds no answer in the passages says so by a fixed word, and the turn ends as a refusal; so it does where
    too little of the answer is supported. Where a language model fails, quotes from the same passages answer: what was
    streamed before a `fallback` event is void.
    """
    run = runtime.context
    run.emit({"type": "status", "stage": "answer"})
    try:
        return await _write(state, run, run.model)
    except ProviderError as error:
        if run.model.quotes is None:
            raise
        reason = find_fallback_reason(error)
    run.cache_session.forget()
    run.emit({"type": "fallback", "reason": reason})
    run.emit({"type": "status", "stage": "answer", "degraded": _make_fallback_notice(state)})
    await run.place.retake()
    return await _write(state, run, AnswerModel(run.model.quotes, is_language_model=False), reason)


def find_fallback_reason(error: ProviderError) -> FallbackReason:
    """Why a language model that failed with *error* is not heard."""
    return _REASONS.get(type(error), "model-unavailable")


async def _write(
    state: ChatState, run: AgentContext, model: AnswerModel, fallback_reason: FallbackReason | None = None
) -> dict[str, object]:
    """The answer of *model*; *fallback_reason* tells why it is not the language model's."""
    support_filter = None if run.bot.unsupported_sentences == "mark" else SupportFilter(run, state["passages"])
    output = _begin_output(state, run, model)
    size = sum(len(hit.passage.text) for hit in state["passages"])
    prompt = await run.process_text(lambda: _make_prompt(state, run, model), characters=size, at_once=_SHOWN_AT_ONCE)
    text, name = await _stream_answer(
        _hold_back_refusal(_ask_model(model, prompt, run.streams)), output, support_filter
    )
    if not text.strip():
        return await refuse_answer(state, run, fallback_reason=fallback_reason)
    if support_filter is not None and support_filter.refuses:
        return await refuse_answer(state, run, support_filter.support, fallback_reason=fallback_reason)
    answer = (support_filter.text if support_filter else text).strip()
    text, citations = await run.process_text(
        lambda: bind_citations(answer, state["passages"]), characters=len(answer) + size, at_once=_BOUND_AT_ONCE
    )
    support = support_filter.support if support_filter else await verify(text, state["passages"], run)
    support = shift(support, len(output.introduction))
    note = await run.process_text(
        lambda: note_conflicts(citations, state["passages"], lambda: output.language, question=state["query"]),
        characters=size,
        at_once=_NOTED_AT_ONCE,
    )
    done = note_done_calls(state, run, lambda: output.language, list_used_passages(citations, support))
    explained = await explain_by_tools(output.question, run) if output.is_uncertain else ""
    ending = "".join([note.text, *(f"\n\n{each}" for each in (done.text, explained) if each)])
    output.emit(ending)
    run.emit({"type": "support", **support})
    message = answer_message(
        output.introduction + text + ending,
        run.run_id,
        citations=_join_citations(citations, note.citations, done.citations),
        model=name,
        language_model=model.is_language_model,
        fallback_reason=fallback_reason,
        support=support,
        is_uncertain=output.is_uncertain,
        conflicts=note.conflicts,
        tool_calls=describe_calls(state.get("tool_state")),
        is_done=bool(done.text),
    )
    if citations:
        run.cache_session.keep(message)
    return end_turn(state, message)


def _join_citations(*parts: Sequence[Citation]) -> list[Citation]:
    """The first of each number."""
    by_number: dict[int, Citation] = {}
    for citation in chain.from_iterable(parts):
        by_number.setdefault(citation.number, citation)
    return list(by_number.values())


@dataclass
class _Output:
    """Tells an answer as it comes; one that may be none, or is in another language, begins with words that say so."""

    run: AgentContext
    question: str  # the answer's own words are in its language
    is_uncertain: bool
    unsuccessful: Sequence[Outcome] = ()  # calls of tools that did not work, see `list_unsuccessful`
    is_named: bool = False  # the question names the heading of its answer
    _quoted_in: str = ""
    _has_begun: bool = False

    @property
    def introduction(self) -> str:
        """What stands before the answer."""
        if not (self.unsuccessful or self.is_uncertain or self._quoted_in):
            return ""
        outcomes = format_outcomes(self.language, self.unsuccessful)
        closest = get_closest_passages_lead(self.language) if self.is_uncertain else ""
        return (
            (f"{outcomes}\n\n" if outcomes else "")
            + closest
            + (get_foreign_quotes_lead(self.language, self._quoted_in) if self._quoted_in else "")
        )

    @cached_property
    def language(self) -> str:
        """The language of what is said beside the answer: most answers need nothing, and it takes 0.5 ms to tell."""
        return detect_any_language(self.question)

    def read_chunk(self, chunk: BaseMessage | None) -> None:
        """Learn from the first *chunk* what has to be said before it."""
        if chunk is not None:
            is_doubted = bool(chunk.response_metadata.get(IS_UNCERTAIN)) and not self.is_named
            self.is_uncertain = self.is_uncertain or is_doubted
            self._quoted_in = self._quoted_in or str(chunk.response_metadata.get(FOUND_IN, ""))

    def emit(self, text: str) -> None:
        if text:
            self.run.emit({"type": "token", "content": text if self._has_begun else self.introduction + text})
            self._has_begun = True


def _begin_output(state: ChatState, run: AgentContext, model: AnswerModel) -> _Output:
    """What tells the answer of *model*, before it says anything."""
    question = state["messages"][-1].text
    is_named = is_heading_named(question, state["passages"])
    is_uncertain = not (is_named or is_sure(state["verdict"], model))
    return _Output(run, question, is_uncertain, list_unsuccessful(state.get("tool_state")), is_named)


def is_sure(verdict: Verdict, model: AnswerModel) -> bool:
    """Whether an answer of *model* needs no warning by *verdict*.

    A language model says by itself when passages do not answer; quotes cannot.
    """
    return verdict.answerable if model.is_language_model else verdict.is_sure


def is_heading_named(question: str, hits: Sequence[Hit]) -> bool:
    """Whether the first of *hits* stands under the very heading that is asked for, whatever its single sentences say:
    then it is the answer."""
    return any(names_heading(question, hit.passage.title, hit.passage.last_heading) for hit in hits[:1])


def _make_fallback_notice(state: ChatState) -> str:
    """What is said of an answer in quotes, which are of documents, of what tools said, or of both."""
    kinds = tuple(sorted({bool(hit.passage.tool) for hit in state["passages"]}))
    return _MODEL_IS_AWAY.format(_QUOTED.get(kinds, _QUOTED[False,]))


async def _stream_answer(
    pieces: AsyncGenerator[tuple[str, BaseMessage | None]], output: _Output, support_filter: SupportFilter | None
) -> tuple[str, str]:
    """What the model said and its name; told as it comes, or what *support_filter* lets through."""
    text, name, run = "", "", output.run
    async with run.place.release(), aclosing(pieces):
        async for piece, chunk in pieces:
            piece = piece[: LONGEST_ANSWER - len(text)]
            name = name or _get_model_name(chunk)
            if _is_fallback(chunk):
                run.cache_session.forget()
            if _is_cut_short(chunk):
                run.cache_session.forget()
                run.emit({"type": "status", "stage": "answer", "degraded": _NOT_WHOLE})
            text += piece
            output.read_chunk(chunk)
            output.emit(await support_filter.take(piece) if support_filter and piece else piece)
            if len(text) >= LONGEST_ANSWER:
                run.cache_session.forget()
                run.emit({"type": "status", "stage": "answer", "degraded": _CUT})
                break
        if support_filter:
            rest = await support_filter.rest()
            output.emit(
                ""
                if support_filter.refuses
                else rest
                if run.bot.unsupported_sentences == "drop"
                else support_filter.text
            )
    return text, name


async def _ask_model(model: AnswerModel, prompt: list[BaseMessage], streams: bool) -> AsyncGenerator[BaseMessage]:
    """What the model says, in pieces where somebody watches: each of them costs CPU.

    Raises:
        ProviderUnavailable: a language model said nothing, which is no word for "not in the documents".
    """
    has_text = False
    async for chunk in _listen(model.chat, prompt, streams):
        has_text = has_text or bool(chunk.text.strip())
        if has_text or not _is_cut_short(chunk):
            yield chunk
    if model.is_language_model and not has_text:
        logger.warning("The chat model returned an empty answer: check its token limit and its content filter.")
        raise ProviderUnavailable("The chat model returned an empty answer.")


async def _listen(chat: BaseChatModel, prompt: list[BaseMessage], streams: bool) -> AsyncGenerator[BaseMessage]:
    if streams:
        async for chunk in chat.astream(prompt):
            yield chunk
    else:
        yield await chat.ainvoke(prompt)


def _make_prompt(state: ChatState, run: AgentContext, model: AnswerModel) -> list[BaseMessage]:
    passages = [hit.passage for hit in state["passages"]]
    if not model.is_language_model:
        if not describe_calls(state.get("tool_state")):  # what tools said stands last
            passages = passages[: run.bot.top_k]
        query = state["query"]
        if run.model.is_language_model:  # it was to see the conversation; quotes need the topic in the question
            query = standalone_question(drop_tool_messages(state["messages"])[:-1], query)
        searched = find_search(state.get("tool_state"))
        rest = Rest(*searched, detect_any_language(state["messages"][-1].text)) if searched else None
        return quote_request(query, passages, rest)
    bot = run.bot
    rules = {"institution": bot.institution, "language_policy": bot.language_policy, "instructions": bot.instructions}
    unsuccessful = [each.name for each in list_unsuccessful(state.get("tool_state"))]
    system = SystemMessage(make_system_prompt(passages, **rules, unsuccessful=unsuccessful, emotion=run.emotion))
    return [system, *make_model_messages(state["messages"])]


async def _hold_back_refusal(chunks: AsyncGenerator[BaseMessage]) -> AsyncGenerator[tuple[str, BaseMessage | None]]:
    """Text as it comes, but nothing while it may still become the word for "not in the documents", and never that."""
    buffer, passed = "", False
    async with aclosing(chunks):
        async for chunk in chunks:
            if passed:
                yield chunk.text, chunk
                continue
            buffer = (buffer + chunk.text).lstrip()
            passed = not NOT_IN_DOCUMENTS_MARK.startswith(buffer[: len(NOT_IN_DOCUMENTS_MARK)])
            yield buffer if passed else "", chunk
            buffer = buffer[: len(NOT_IN_DOCUMENTS_MARK)]  # what follows it changes nothing
        if not passed and not buffer.startswith(NOT_IN_DOCUMENTS_MARK):
            yield buffer.strip(), None


def _get_model_name(chunk: BaseMessage | None) -> str:
    metadata = chunk.response_metadata if chunk else {}
    return str(metadata.get("answered_by") or metadata.get("model_name") or "")


def _is_cut_short(chunk: BaseMessage | None) -> bool:
    return chunk is not None and chunk.response_metadata.get("finish_reason") in _CUT_SHORT


def _is_fallback(chunk: BaseMessage | None) -> bool:
    return chunk is not None and bool(chunk.response_metadata.get("is_fallback"))
