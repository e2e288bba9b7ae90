"""The step taken when a question does not say what it is about: ask back, with choices from the documents."""

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage
from langgraph.runtime import Runtime

from agents.messages import answer_message, drop_tool_messages
from agents.nodes.refuse import list_headings
from agents.state import AgentContext, ChatState, end_turn
from prompts.rag import get_topic_question
from prompts.tools import get_data_source_question
from providers.chat.followups import names_no_topic
from utils.facts.folding import fold
from utils.language import detect_any_language
from utils.shorthand import spell_out

MAX_CHOICES = 4
_LONGEST_REPLY = 100  # characters of what answers a question of ours; what is longer is a question of its own


def is_underspecified(messages: list[AnyMessage]) -> bool:
    """Whether the newest question leans on something that was never named: only a first one can, after small talk."""
    *history, newest = drop_tool_messages(messages)
    answers = [message for message in history if isinstance(message, AIMessage)]
    is_first = all(each.additional_kwargs.get("small_talk") for each in answers) and 2 * len(answers) == len(history)
    return is_first and names_no_topic(spell_out(newest.text))


def join_reply(messages: list[AnyMessage]) -> str:
    """The question that was asked back about, with the reply to that before it; "" where the newest is none."""
    *history, newest = drop_tool_messages(messages)
    if len(history) < 2 or not isinstance(history[-2], HumanMessage):
        return ""
    clarification = history[-1].additional_kwargs.get("clarification")
    is_reply = len(newest.text) <= _LONGEST_REPLY and "?" not in newest.text
    return f"{newest.text}: {history[-2].text}" if clarification and is_reply else ""


def find_choice(messages: list[AnyMessage]) -> tuple[str, str] | None:
    """The question that was asked back about, and which of the choices the newest message names; None for none."""
    *history, newest = drop_tool_messages(messages)
    clarification = history[-1].additional_kwargs.get("clarification") if len(history) > 1 else None
    reply = fold(newest.text).strip(" .!?\"'")
    choice = next((each for each in (clarification or {}).get("choices", ()) if fold(each) == reply), None)
    return (history[-2].text, choice) if choice else None


async def clarify(state: ChatState, runtime: Runtime[AgentContext]) -> dict[str, object]:
    """Ask what the question is about.

    Reads `messages`, and `choices` or else `passages`; adds a question with choices to `messages`, with
    `answered` false and no citations. Streams one `token`.
    """
    run = runtime.context
    language = detect_any_language(state["messages"][-1].text)
    hits = sorted(state["passages"], key=lambda hit: hit.passage.language != language)
    sources = state.get("choices")
    question = get_data_source_question(language) if sources else get_topic_question(language)
    choices = sources or list_headings(hits, MAX_CHOICES)
    text = "\n".join([f"{question}\n", *(f"- {choice}" for choice in choices)])
    run.emit({"type": "token", "content": text})
    return end_turn(state, answer_message(text, run.run_id, clarification={"question": question, "choices": choices}))
