"""The step that answers from the passages, streaming as it goes."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from itertools import chain
from typing import Any

from langchain_core.messages import BaseMessage, SystemMessage
from langgraph.runtime import Runtime

from agents.citations import Citation, make_citations
from agents.conflicts.notes import note_conflicts
from agents.messages import answer_message, drop_tool_messages, make_model_messages
from agents.nodes.answer_output import AnswerOutput, begin_output
from agents.nodes.done_calls import list_used_passages, note_done_calls
from agents.nodes.model_stream import ask_model, get_model_name, hold_back_refusal, is_cut_short, is_fallback
from agents.nodes.near_questions import explain_by_tools
from agents.nodes.refuse import refuse_answer
from agents.nodes.verify import SupportFilter, verify
from agents.state import AgentContext, AnswerModel, ChatState, end_turn
from agents.tools.state import describe_calls, find_search, list_unsuccessful
from agents.verification.verdict import shift
from prompts.rag import make_system_prompt
from providers.answer_limits import LONGEST_ANSWER
from providers.chat.extractive import standalone_question
from providers.chat.quote_requests import Rest, quote_request
from utils.errors import ProviderBusy, ProviderError, ProviderTimeout
from utils.language import detect_any_language
from utils.ports import FallbackReason

_CUT = f"The model's answer is cut after {LONGEST_ANSWER:,} characters."
_NOT_WHOLE = "The model's answer is incomplete: its endpoint stopped it at a token limit or by a content filter."
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


@dataclass(frozen=True, slots=True)
class _Written:
    """An answer that is written, before what is added behind it."""

    text: str
    citations: Sequence[Citation]
    support: dict[str, Any]
    model_name: str
    is_of_language_model: bool
    fallback_reason: FallbackReason | None


async def _write(
    state: ChatState, run: AgentContext, model: AnswerModel, fallback_reason: FallbackReason | None = None
) -> dict[str, object]:
    """The answer of *model*; *fallback_reason* tells why it is not the language model's."""
    support_filter = None if run.bot.unsupported_sentences == "mark" else SupportFilter(run, state["passages"])
    output = begin_output(state, run, model)
    size = _count_characters(state)
    prompt = await run.process_text(lambda: _make_prompt(state, run, model), characters=size, at_once=_SHOWN_AT_ONCE)
    pieces = hold_back_refusal(ask_model(model, prompt, run.streams))
    text, name = await _stream_answer(pieces, output, support_filter)
    if not text.strip():
        return await refuse_answer(state, run, fallback_reason=fallback_reason)
    if support_filter is not None and support_filter.refuses:
        return await refuse_answer(state, run, support_filter.support, fallback_reason=fallback_reason)
    answer = (support_filter.text if support_filter else text).strip()
    text, citations = await run.process_text(
        lambda: make_citations(answer, state["passages"]), characters=len(answer) + size, at_once=_BOUND_AT_ONCE
    )
    support = support_filter.support if support_filter else await verify(text, state["passages"], run)
    support = shift(support, len(output.introduction))
    written = _Written(text, citations, support, name, model.is_language_model, fallback_reason)
    return await _end_answer(state, run, output, written)


async def _end_answer(
    state: ChatState, run: AgentContext, output: AnswerOutput, written: _Written
) -> dict[str, object]:
    """Add what stands behind the answer, such as conflicts between documents, and end the turn."""
    note = await run.process_text(
        lambda: note_conflicts(written.citations, state["passages"], lambda: output.language, question=state["query"]),
        characters=_count_characters(state),
        at_once=_NOTED_AT_ONCE,
    )
    done = note_done_calls(state, run, lambda: output.language, list_used_passages(written.citations, written.support))
    explained = await explain_by_tools(output.question, run) if output.is_uncertain else ""
    ending = "".join([note.text, *(f"\n\n{each}" for each in (done.text, explained) if each)])
    output.emit(ending)
    run.emit({"type": "support", **written.support})
    message = answer_message(
        output.introduction + written.text + ending,
        run.run_id,
        citations=_join_citations(written.citations, note.citations, done.citations),
        model=written.model_name,
        language_model=written.is_of_language_model,
        fallback_reason=written.fallback_reason,
        support=written.support,
        is_uncertain=output.is_uncertain,
        conflicts=note.conflicts,
        tool_calls=describe_calls(state.get("tool_state")),
        is_done=bool(done.text),
    )
    if written.citations:
        run.cache_session.keep(message)
    return end_turn(state, message)


def _count_characters(state: ChatState) -> int:
    return sum(len(hit.passage.text) for hit in state["passages"])


def _join_citations(*parts: Sequence[Citation]) -> list[Citation]:
    """The first of each number."""
    by_number: dict[int, Citation] = {}
    for citation in chain.from_iterable(parts):
        by_number.setdefault(citation.number, citation)
    return list(by_number.values())


def _make_fallback_notice(state: ChatState) -> str:
    """What is said of an answer in quotes, which are of documents, of what tools said, or of both."""
    kinds = tuple(sorted({bool(hit.passage.tool) for hit in state["passages"]}))
    return _MODEL_IS_AWAY.format(_QUOTED.get(kinds, _QUOTED[False,]))


async def _stream_answer(
    pieces: AsyncGenerator[tuple[str, BaseMessage | None]], output: AnswerOutput, support_filter: SupportFilter | None
) -> tuple[str, str]:
    """What the model said and its name; told as it comes, or what *support_filter* lets through."""
    text, name, run = "", "", output.run
    async with run.place.release(), aclosing(pieces):
        async for piece, chunk in pieces:
            piece = piece[: LONGEST_ANSWER - len(text)]
            name = name or get_model_name(chunk)
            if is_fallback(chunk):
                run.cache_session.forget()
            if is_cut_short(chunk):
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
            if not support_filter.refuses:
                output.emit(rest if run.bot.unsupported_sentences == "drop" else support_filter.text)
    return text, name


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
