"""The step that answers small talk, from what the documents are about and without a search for an answer."""

from langgraph.runtime import Runtime

from agents.messages import answer_message
from agents.small_talk import SmallTalk, recognise
from agents.state import AgentContext, ChatState, end_turn
from agents.topics import Topics
from prompts.small_talk import is_brief, reply
from utils.language import detect_language

_TITLES, _EXAMPLES = 5, 3


async def talk(state: ChatState, runtime: Runtime[AgentContext]) -> dict[str, object]:
    """Answer a greeting, thanks, or a question about the assistant itself.

    Reads `messages`; adds the answer to them, marked `small_talk`, without citations. Streams one `token`.
    """
    run = runtime.context
    message = state["messages"][-1].text
    # What a model took for small talk may be none by our phrases.
    small_talk = recognise(message) or SmallTalk("help", detect_language(message))
    language = small_talk.language or "en"
    topics = Topics()
    if not is_brief(small_talk.intent):
        async with run.place.release():
            topics = await run.topics.find(run.retriever, run.principal, run.bot, language)
    examples = [each.question for each in topics.questions[:_EXAMPLES]]
    text = reply(
        small_talk.intent, language, institution=run.bot.institution, titles=topics.titles[:_TITLES], examples=examples
    )
    run.emit({"type": "token", "content": text})
    answer = answer_message(text, run.run_id, small_talk=True)
    return end_turn(state, answer)
