"""The step taken when the documents hold no answer: say so, and where to look, in the language of the question."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

from langgraph.runtime import Runtime

from agents.messages import answer_message
from agents.nodes.done_calls import note_done_calls
from agents.nodes.near_questions import explain_by_tools
from agents.state import AgentContext, ChatState, end_turn
from agents.tools.state import describe_calls, list_unsuccessful
from prompts.rag import get_no_quote_notice, get_refusal, get_still_reading_notice, make_search_hint
from prompts.tools import format_outcomes
from providers.chat.sentences import split_sentences
from retrieval.index import Filters
from retrieval.search import SearchOptions
from utils.language import detect_any_language
from utils.passages import Hit
from utils.ports import FallbackReason

_HEADINGS = 3
_CONTACT_QUERY = "contact: e-mail, telephone"
_CONTACTS_LOOKED_AT = 5  # passages
_CONTACT = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,63}\.[\w.-]{2,}|\+?\d[\d ().-]{6,18}\d")
_LONGEST_CONTACT = 200  # characters
_LOOKED_AT = 1500  # characters of a passage


async def refuse(state: ChatState, runtime: Runtime[AgentContext]) -> dict[str, object]:
    """Say that the answer is not in the documents.

    Reads `messages`, `passages` and `tool_state`; adds the refusal to `messages`, with `answered` false and no
    citations. Where a call changed something, it says that instead, and counts as answered.
    """
    tool_state = state.get("tool_state")
    reason = tool_state.get("fallback_reason") if tool_state else None
    return await refuse_answer(state, runtime.context, fallback_reason=reason)


async def refuse_answer(
    state: ChatState,
    run: AgentContext,
    support: dict[str, Any] | None = None,
    *,
    fallback_reason: FallbackReason | None = None,
) -> dict[str, object]:
    """A refusal; *support* tells of sentences that were left out because nothing supports them, *fallback_reason* why
    the language model was not heard."""
    language = detect_any_language(state["messages"][-1].text)
    unsuccessful = list_unsuccessful(state.get("tool_state"))
    done = note_done_calls(state, run, lambda: language)
    parts = [format_outcomes(language, unsuccessful), done.text]
    # Else that is all there is to say.
    if not done.text and not any(each.status == "rejected" or each.reason for each in unsuccessful):
        parts.append(await _write_refusal(state, run, language, has_failed=bool(fallback_reason)))
        parts.append(await explain_by_tools(state["messages"][-1].text, run))
    text = "\n\n".join(filter(None, parts))
    run.emit({"type": "token", "content": text})
    if support is not None:
        run.emit({"type": "support", **support})
    calls = describe_calls(state.get("tool_state"))
    answer = answer_message(
        text,
        run.run_id,
        citations=done.citations,
        support=support,
        fallback_reason=fallback_reason,
        tool_calls=calls,
        is_done=bool(done.text),
    )
    return end_turn(state, answer)


async def _write_refusal(state: ChatState, run: AgentContext, language: str, *, has_failed: bool) -> str:
    """That nothing answers, or that documents are still read, and where to look; *has_failed*: the language model."""
    of_documents = [hit for hit in state["passages"] if not hit.passage.tool]
    hits = sorted(of_documents, key=lambda hit: hit.passage.language != language)
    closest = hits[0].passage if hits else None
    contact = await _find_contact(closest.document_id, run) if closest else ""
    async with run.place.release():
        unread_count = await run.count_unread(run.principal)
    if unread_count or not state.get("is_index_whole", True):
        message = get_still_reading_notice(language, unread_count)
    else:
        message = get_no_quote_notice(language) if has_failed else get_refusal(language)
    return message + make_search_hint(
        language, list_headings(hits, _HEADINGS), contact, closest.title if closest else ""
    )


def list_headings(hits: Sequence[Hit], most: int) -> list[str]:
    """The first headings with the titles of their documents, *most* of them."""
    named = []
    for passage in (hit.passage for hit in hits):
        heading = passage.last_heading
        named.append(f"{passage.title} › {heading}" if heading and heading != passage.title else passage.title)
    return list(dict.fromkeys(" ".join(name.split()) for name in named))[:most]


async def _find_contact(document_id: str, run: AgentContext) -> str:
    """The first sentence of the document with an e-mail address or a telephone number, "" if it has none."""
    only = SearchOptions(filters=Filters(document_ids=(document_id,)))
    async with run.place.release():
        result = await run.retriever.search(run.principal, _CONTACT_QUERY, limit=_CONTACTS_LOOKED_AT, options=only)
    texts = [hit.passage.text[:_LOOKED_AT] for hit in result.hits]
    return await run.process_text(lambda: _find_first_contact(texts), characters=sum(map(len, texts)))


def _find_first_contact(texts: Iterable[str]) -> str:
    sentences = (sentence.text for text in texts for sentence in split_sentences(text))
    return next((text for text in sentences if len(text) <= _LONGEST_CONTACT and _CONTACT.search(text)), "")
