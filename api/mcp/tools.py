"""The tools that assistants may call, each with the scope that its key needs."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.json_schema import GenerateJsonSchema

from agents.runs.handle import RunHandle
from agents.runs.record import ENDS, extract_result
from api.links import find_address, link_citations
from api.mcp.documents import LARGEST_OFFSET, LONGEST_ID, LONGEST_TEXT, DocumentText, make_uri, read_document
from api.schemas import NON_BLANK, WHOLE, BotId, ConversationId, RunId
from api.services import services
from api.turns import Question, begin_turn
from auth.principal import Principal
from auth.scopes import Scope
from retrieval.search import SearchOptions
from utils.validation import LONGEST_MESSAGE, check_conversation_id, check_run_id, check_text

_READING_S = 5
MAX_RESULTS, _PASSAGES = 20, 50  # several passages may be of one document
_Text = Annotated[str, Field(min_length=1, max_length=LONGEST_MESSAGE), AfterValidator(check_text), NON_BLANK]
_Wait = Annotated[
    int,
    Field(ge=0, le=50, description="Seconds to wait for the answer; then get it with get_answer."),  # clients: 60
    WHOLE,
]


class _Arguments(BaseModel):
    """Arguments of a tool: no others than those named."""

    model_config = ConfigDict(strict=True, extra="forbid")


class SearchArguments(_Arguments):
    """What to look for."""

    query: _Text = Field(description="A question or words, in any language.")
    limit: Annotated[int, Field(ge=1, le=MAX_RESULTS, description="Documents at most."), WHOLE] = 10


class FetchArguments(_Arguments):
    """Which document."""

    id: str = Field(min_length=1, max_length=LONGEST_ID, description="As search and citations give it.")
    offset: Annotated[int, Field(ge=0, le=LARGEST_OFFSET, description="Where in a long text to go on."), WHOLE] = 0


class AskArguments(_Arguments):
    """A question to a bot."""

    question: _Text = Field(description="One question, in any language.")
    conversation_id: ConversationId | None = Field(None, description="To go on in a conversation.")
    bot_id: BotId | None = Field(None, description="Which bot; left out: the key's, or the default one.")
    wait_s: _Wait = 30


class AnswerArguments(_Arguments):
    """Which answer."""

    run_id: RunId = Field(description="As ask gave it.")
    wait_s: _Wait = 30


class FoundDocument(BaseModel):
    """A document, with its best passage."""

    id: str
    title: str
    url: str = Field(description="To be cited; opens the document at the passage for a while.")
    text: str = Field(description="The best passage.")


class FoundDocuments(BaseModel):
    """Documents, best first; maybe none."""

    results: list[FoundDocument]


class Citation(BaseModel):
    """What a mark [number] in the answer points at."""

    number: int
    id: str = Field(description="Of the document, for fetch.")
    title: str
    url: str = Field(description="Of a data source: the run, which tells of the query and its rows; with the key.")
    page: int | None
    quote: str
    query: str | None = Field(default=None, description="The query that a data source was asked.")


class Answer(BaseModel):
    """An answer, or how far it is: `processing` is to be asked for with get_answer."""

    status: Literal["completed", "processing", "waiting"]
    run_id: str
    conversation_id: str
    answer: str | None = None
    answered: bool | None = Field(default=None, description="False: the documents do not hold the answer.")
    confidence: Literal["high", "low"] | None = Field(
        default=None, description="low: the closest passages, which may not answer the question."
    )
    citations: list[Citation] = []
    note: str | None = Field(default=None, description="What to do next, where there is no answer yet.")


@dataclass(frozen=True, slots=True)
class McpTool:
    """A tool: what it takes and gives, and the scope that it needs. `is_read_only`: it changes nothing."""

    name: str
    title: str
    description: str
    scope: Scope
    arguments: type[BaseModel]
    result: type[BaseModel]
    call: Callable[[Principal, Any], Awaitable[BaseModel]]
    is_read_only: bool = True


async def _search(ctx: Principal, arguments: SearchArguments) -> FoundDocuments:
    match = await services().retriever.search(ctx, arguments.query, limit=_PASSAGES, options=SearchOptions())
    best: dict[str, dict[str, Any]] = {}
    for hit in match.hits:
        if len(best) < arguments.limit:
            place = {name: getattr(hit.passage, name) for name in ("document_id", "version", "start", "end")}
            best.setdefault(hit.passage.document_id, place | {"passage": hit.passage})
    links = services().links
    linked = await links.add_links(ctx, list(best.values()), links.get_base_url())
    return FoundDocuments(results=[_describe_found(one) for one in linked])


def _describe_found(found: dict[str, Any]) -> FoundDocument:
    passage = found["passage"]
    url = found["link"] or passage.url or make_uri(passage.document_id)
    return FoundDocument(id=passage.document_id, title=passage.title, url=url, text=passage.text)


async def _fetch(ctx: Principal, arguments: FetchArguments) -> DocumentText:
    return await read_document(ctx, arguments.id, arguments.offset)


async def _ask(ctx: Principal, arguments: AskArguments) -> Answer:
    named = arguments.conversation_id
    conversation_id = None if named is None else check_conversation_id(named, field="conversation_id")
    turn = await begin_turn(ctx, Question(arguments.question, conversation_id, arguments.bot_id))
    try:
        return await _wait_for_answer(turn.ctx, turn.run, turn.record.conversation_id, arguments.wait_s)
    except asyncio.CancelledError:
        if turn.leaving:
            turn.run.leave()
        raise


async def _get_answer(ctx: Principal, arguments: AnswerArguments) -> Answer:
    record, run = await services().runs.find(ctx, check_run_id(arguments.run_id))
    return await _wait_for_answer(ctx, run, record.conversation_id, arguments.wait_s)


async def _wait_for_answer(ctx: Principal, run: RunHandle, conversation_id: str, wait_s: int) -> Answer:
    answer = Answer(
        status="processing",
        run_id=run.id,
        conversation_id=conversation_id,
        note="The answer is being written: call get_answer with this run_id.",
    )
    try:
        # To read one that has ended takes a moment, too, which is not counted.
        async with asyncio.timeout(wait_s + _READING_S if await run.end() else wait_s):
            last = await run.wait()
    except TimeoutError:
        return answer
    if ENDS[last["type"]] == "waiting":
        note = f"A person has to approve a call of the tool {last['call']['name']!r}: POST /v1/runs/{run.id}/resume."
        return answer.model_copy(update={"status": "waiting", "note": note})
    base = services().links.get_base_url()
    result = await link_citations(ctx, extract_result(last), base)
    return answer.model_copy(
        update={
            "status": "completed",
            "answer": result["answer"],
            "answered": result["answered"],
            "confidence": result.get("confidence"),
            "citations": [_describe_citation(one, run.id, base) for one in result["citations"]],
            "note": None,
        }
    )


def _describe_citation(cited: dict[str, Any], run_id: str, base: str) -> Citation:
    document_id = cited["document_id"]
    return Citation(
        number=cited["number"],
        id=document_id,
        title=cited["title"],
        url=find_address(cited, run_id, base) or make_uri(document_id),
        page=cited["page"],
        quote=cited["quote"],
        query=cited.get("query"),
    )


TOOLS = {
    tool.name: tool
    for tool in (
        McpTool(
            "search",
            "Search the documents",
            "Finds documents by a question or words. Use the url of a result to cite it, and fetch to read it.",
            Scope.SEARCH,
            SearchArguments,
            FoundDocuments,
            _search,
        ),
        McpTool(
            "fetch",
            "Read a document",
            f"The text of a document, {LONGEST_TEXT:,} characters at a time: while metadata.next_offset is not null, "
            "fetch it again with that offset.",
            Scope.DOCUMENTS_READ,
            FetchArguments,
            DocumentText,
            _fetch,
        ),
        McpTool(
            "ask",
            "Ask the documents",
            "Answers a question from the documents alone, with citations; says so where they do not hold the answer. "
            "What takes longer than wait_s is got with get_answer, which knows it for a while.",
            Scope.CHAT_WRITE,
            AskArguments,
            Answer,
            _ask,
            is_read_only=False,
        ),
        McpTool(
            "get_answer",
            "Get an answer",
            "The answer to a question that ask has returned without one.",
            Scope.CHAT_WRITE,
            AnswerArguments,
            Answer,
            _get_answer,
        ),
    )
}  # fmt: skip


def list_tools(ctx: Principal) -> list[dict[str, Any]]:
    """The tools that the caller may use, as `tools/list` shows them."""
    return [_describe_tool(name) for name, tool in TOOLS.items() if tool.scope in ctx.scopes]


class _WithoutTitles(GenerateJsonSchema):
    """Titles say what names say, and models pay for each word."""

    def field_title_should_be_set(self, schema: object) -> bool:
        return False


@cache
def _describe_tool(name: str) -> dict[str, Any]:
    tool = TOOLS[name]
    return {
        "name": tool.name,
        "title": tool.title,
        "description": tool.description,
        "inputSchema": tool.arguments.model_json_schema(schema_generator=_WithoutTitles),
        "outputSchema": tool.result.model_json_schema(mode="serialization", schema_generator=_WithoutTitles),
        "annotations": {"readOnlyHint": tool.is_read_only, "destructiveHint": False, "openWorldHint": False},
    }
