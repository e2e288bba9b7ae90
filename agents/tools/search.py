"""The tool that searches the documents of a bot."""

from collections.abc import Callable

from agents.tools.registry import SEARCH_DOCUMENTS
from agents.tools.tool import Tool, ToolCall, ToolFailed, ToolResult
from retrieval.search import Retriever, SearchOptions
from utils.errors import ProblemError

_PARAMETERS = {
    "type": "object",
    "properties": {
        "query": {
            "type": "string",
            "minLength": 1,
            "maxLength": 1000,
            "description": "A question or key words that can be understood without the conversation.",
        }
    },
    "required": ["query"],
    "additionalProperties": False,
}


def make_search_tool(retriever: Callable[[], Retriever]) -> Tool:
    """The tool that searches documents; *retriever* gives what searches the active index."""

    async def run(call: ToolCall) -> ToolResult:
        further = call.bot.count_further(is_language_model=call.chat is not None)
        options = SearchOptions(call.bot.filters, attached=call.attached, further=further)
        try:
            result = await retriever().search(
                call.principal, call.arguments["query"], limit=call.bot.top_k, options=options
            )
        except ProblemError as exc:
            raise ToolFailed(exc.detail) from exc
        return ToolResult(found=result)

    return Tool(
        SEARCH_DOCUMENTS,
        "Searches the documents and gives the passages that fit best, with their sources.",
        _PARAMETERS,
        run,
    )
