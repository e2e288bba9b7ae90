"""Questions put to what is measured: the stores of this machine, or a running service over HTTP."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import httpx
from langchain_core.messages import HumanMessage, SystemMessage

from agents.bots import BotConfig
from agents.citations import make_citations, remove_marks
from agents.nodes.answer_output import is_heading_named, is_sure
from agents.state import AnswerModel
from auth.principal import Principal
from prompts.rag import IS_UNCERTAIN, NOT_IN_DOCUMENTS_MARK, make_system_prompt
from providers.chat.extractive import quote_request
from retrieval.search import Retriever, SearchOptions, SearchResult
from utils.errors import BadInput, ProviderError, StoreUnavailable
from utils.passages import Hit

SHOWN = 12  # passages that are looked at, as MODEL_TOP_K is by default; recall@10 needs ten
QUOTED_FROM = 6  # as TOP_K is by default
_TIMEOUT_S = 120.0


@dataclass(frozen=True, slots=True)
class Shown:
    """A passage as it was found, or a quote as it was cited; `document` is all that its document may be called."""

    document: frozenset[str]
    source: str
    text: str


@dataclass(frozen=True, slots=True)
class AskedOutcome:
    """What came of a question: passages, best first; `answered` is whether the documents are said to hold an answer.

    `quoted_from` are those of a search for as few as quotes are chosen from: it joins fewer neighbours.
    `answer` is None where no answer was asked for, and without marks; `supported` is the share of its sentences that a
    running service found supported by what they cite, None where it found nothing to check. `is_uncertain`: the answer
    says of itself that it may not be one. `is_small_talk`: no answer from documents was looked for.
    """

    passages: Sequence[Shown]
    answered: bool
    answer: str | None = None
    quotes: Sequence[Shown] = ()
    supported: float | None = None
    is_uncertain: bool = False
    is_small_talk: bool = False
    quoted_from: Sequence[Shown] = ()


class Asker(Protocol):
    """Whom the questions are put to."""

    async def ask(self, question: str, after: Sequence[str] = ()) -> AskedOutcome:
        """What comes of *question*, asked *after* others in one conversation.

        Raises:
            ProblemError: it could not be asked.
        """


@dataclass(frozen=True, slots=True)
class LocalAsker:
    """Asks *retriever*, and with a *model* for an answer from the passages that *bot* shows it."""

    retriever: Retriever
    ctx: Principal
    model: AnswerModel | None = None
    bot: BotConfig = field(default_factory=BotConfig)

    async def ask(self, question: str, after: Sequence[str] = ()) -> AskedOutcome:
        """What comes of *question*, as a first turn.

        Raises:
            BadInput: it is asked *after* others, which needs a conversation.
        """
        if after:
            raise BadInput("Questions after others are asked of a running service: give --url, --key and --answers.")
        looked_at = await self.retriever.search(self.ctx, question, limit=max(SHOWN, self.bot.top_k))
        match = await self.retriever.search(self.ctx, question, limit=self.bot.top_k, options=self._options)
        outcome = AskedOutcome(
            _show_hits(looked_at.hits),
            match.verdict.answerable,
            quoted_from=() if self._options.further else _show_hits(match.hits),
        )
        if self.model is None:
            return outcome
        if not match.verdict.is_near:
            return replace(outcome, answered=False, answer="")
        return await self._answer(question, match, outcome, self.model)

    @property
    def _options(self) -> SearchOptions:
        """The options by which the service searches for the model."""
        is_language_model = self.model is not None and self.model.is_language_model
        return SearchOptions(further=self.bot.count_further(is_language_model=is_language_model))

    async def _answer(
        self, question: str, result: SearchResult, outcome: AskedOutcome, model: AnswerModel
    ) -> AskedOutcome:
        """What *model* makes of *result*, doubted where the service doubts it."""
        passages = [hit.passage for hit in result.hits]
        system = SystemMessage(make_system_prompt(passages, institution="", language_policy=_POLICY))
        request = [system, HumanMessage(question)] if model.is_language_model else quote_request(question, passages)
        reply = await model.chat.ainvoke(request)
        text, is_doubted = str(reply.text), bool(reply.response_metadata.get(IS_UNCERTAIN))
        if text.strip().startswith(NOT_IN_DOCUMENTS_MARK):
            return replace(outcome, answered=False, answer="")
        text, citations = make_citations(text.strip(), result.hits)
        quotes = [_make_shown(each.document_id, each.title, each.source, each.quote) for each in citations]
        is_uncertain = (is_doubted or not is_sure(result.verdict, model)) and not is_heading_named(
            question, result.hits
        )
        return replace(outcome, answered=True, answer=remove_marks(text), quotes=quotes, is_uncertain=is_uncertain)


_POLICY = "Answer in the language of the question."


@dataclass(frozen=True, slots=True)
class HttpAsker:
    """Asks a running service; *with_answers* for its answers too, each in a conversation of its own."""

    client: httpx.AsyncClient
    with_answers: bool = False

    async def ask(self, question: str, after: Sequence[str] = ()) -> AskedOutcome:
        """What comes of *question*."""
        found = await self._post("/v1/search", {"query": question, "limit": SHOWN})
        fewer = await self._post("/v1/search", {"query": question, "limit": QUOTED_FROM})
        passages, quoted_from = (
            [_parse_passages(each, each["text"]) for each in result["passages"]] for result in (found, fewer)
        )
        if not self.with_answers:
            return AskedOutcome(passages, found["answerable"], quoted_from=quoted_from)
        conversation_id = None
        for message in after:
            before = await self._post("/v1/chat", {"message": message, "session_id": conversation_id})
            conversation_id = before["conversation_id"]
        answer = await self._post("/v1/chat", {"message": question, "session_id": conversation_id})
        return AskedOutcome(
            passages,
            answer["answered"],
            remove_marks(answer["answer"]),
            [_parse_passages(each, each["quote"]) for each in answer["citations"]],
            (answer.get("support") or {}).get("total"),
            is_uncertain=answer.get("confidence") == "low",
            is_small_talk=answer.get("small_talk", False),
            quoted_from=quoted_from,
        )

    async def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        try:
            answer = await self.client.post(path, json=body, timeout=_TIMEOUT_S)
        except httpx.HTTPError as exc:
            raise StoreUnavailable(f"The service at {self.client.base_url} does not answer.") from exc
        if answer.status_code != 200:
            raise ProviderError(f"The service refused {path}: {answer.status_code} {_read_detail(answer)}")
        result: dict[str, Any] = answer.json()
        return result


def _show_hits(hits: Sequence[Hit]) -> list[Shown]:
    return [
        _make_shown(hit.passage.document_id, hit.passage.title, hit.passage.source, hit.passage.text) for hit in hits
    ]


def _make_shown(document_id: str, title: str, source: str, text: str) -> Shown:
    return Shown(frozenset((document_id, title)), source, text)


def _parse_passages(body: dict[str, Any], text: str) -> Shown:
    return _make_shown(body["document_id"], body["title"], body["source"], text)


def _read_detail(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return ""
