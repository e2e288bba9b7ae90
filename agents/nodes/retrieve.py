"""Second step: the passages for the question, and whether they hold an answer at all."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Literal

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage
from langgraph.runtime import Runtime
from langgraph.types import Command

from agents.citations import remove_marks
from agents.messages import drop_tool_messages
from agents.nodes.attached_questions import is_about_attached
from agents.nodes.clarify import MAX_CHOICES, is_underspecified
from agents.nodes.refuse import list_headings
from agents.state import AgentContext, ChatState
from providers.chat.followups import standalone_question
from retrieval.conversation import choose_topic_words
from retrieval.search import SearchOptions, SearchResult
from utils.shorthand import spell_out


async def retrieve(state: ChatState, runtime: Runtime[AgentContext]) -> Command[Literal["answer", "refuse", "clarify"]]:
    """Fetch passages for the question, and in a conversation for what it leaves unsaid.

    Reads `query` and `messages`; writes `passages` (best first, maybe none, more for a language model), `verdict` and
    `is_index_whole`. An empty list is a result, not an error: the run goes on to `refuse`, as it does where nothing
    speaks for an answer in them. Where little does, they are shown as the closest ones. Where a question does not say
    what it is about, and the passages leave a choice, the run goes on to `clarify`.
    """
    run, query = runtime.context, state["query"]
    run.emit({"type": "status", "stage": "retrieve"})
    # A language model chooses among documents by itself, and loses those that it is not shown.
    continued = frozenset[str]() if run.model.is_language_model else find_continued(state["messages"])
    options = SearchOptions(
        run.bot.filters,
        context=_choose_topic_words(state["messages"]),
        continued=continued,
        attached=run.attached,
        about_attached=_is_about_attached(state, run),
        further=run.bot.count_further(is_language_model=run.model.is_language_model),
    )
    async with run.place.release():
        result = await _search(run, query, options)
    if result.degraded:
        run.cache_session.forget()
        run.emit({"type": "status", "stage": "retrieve", "degraded": result.degraded})
    # "Summarise this file" is like no passage of it, and a language model knows what to do.
    is_task = options.about_attached and run.model.is_language_model and bool(result.hits)
    verdict = replace(result.verdict, answerable=True) if is_task else result.verdict
    update = {"passages": result.hits, "verdict": verdict, "is_index_whole": result.is_index_whole}
    if is_underspecified(state["messages"]) and len(list_headings(result.hits, MAX_CHOICES)) > 1:
        return Command(update=update, goto="clarify")
    return Command(update=update, goto="answer" if result.verdict.is_near or is_task else "refuse")


def _is_about_attached(state: ChatState, run: AgentContext) -> bool:
    names = {passage.source for passage in run.attached.passages}
    return bool(names) and is_about_attached(state["messages"][-1].text, names)


async def _search(run: AgentContext, query: str, options: SearchOptions) -> SearchResult:
    """What is found; where a question is about files, and they do not answer it, in the documents, too, if these do."""
    match = await run.retriever.search(run.principal, query, limit=run.bot.top_k, options=options)
    if match.verdict.is_near or not options.about_attached:
        return match
    whole = replace(options, about_attached=False)
    everywhere = await run.retriever.search(run.principal, query, limit=run.bot.top_k, options=whole)
    return everywhere if everywhere.verdict.is_near else match


def find_continued(messages: Sequence[AnyMessage]) -> frozenset[str]:
    """The documents that the last answer rests on, where the newest question leans on what was said before it."""
    *history, newest = drop_tool_messages(messages)
    question = spell_out(newest.text)
    if not history or standalone_question(history, question) == question:
        return frozenset()
    cited = history[-1].additional_kwargs.get("citations") or ()
    return frozenset(citation["document_id"] for citation in cited)


def _choose_topic_words(messages: Sequence[AnyMessage]) -> str:
    """What the conversation is about by its last question and answer, "" where there is none; small talk is neither."""
    *history, newest = drop_tool_messages(messages)
    for before, message in pairwise(reversed(history)):
        is_answer = isinstance(before, AIMessage) and not before.additional_kwargs.get("small_talk")
        if is_answer and isinstance(message, HumanMessage):
            answered = remove_marks(before.text) if before.additional_kwargs.get("answered") else ""
            return choose_topic_words(newest.text, spell_out(message.text), answered)
    return ""
