"""What an answer holds beside its text, for both routes that answer."""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

from agents.verbatim import MARK
from api.links import find_address
from api.schemas import CitationOut

_MARK, _NUMBER = re.compile(MARK), re.compile(r"\d+")


class OpenAiUrlCitation(BaseModel):
    """Where a mark such as [1] stands in the text, counted in Unicode characters, and what it points at."""

    type: Literal["url_citation"]
    start_index: int
    end_index: int = Field(description="Behind its last character.")
    title: str
    url: str = Field(
        description="Opens the document at the quote, without a key, until it expires. Of a data source: the run, "
        "whose `support.queries` has the query and its rows; with the key."
    )


class OpenAiExtras(BaseModel):
    """What answers have beside what OpenAI's do."""

    citations: list[CitationOut] = Field([], description="As in an answer of POST /v1/chat.")
    answered: bool | None = Field(None, description="False: the documents do not hold the answer.")
    confidence: Literal["high", "low"] | None = Field(None, description="As in an answer of POST /v1/chat.")
    conversation_id: str
    run_id: str


def find_annotations(text: str, result: Mapping[str, Any], base: str) -> Iterator[dict[str, Any]]:
    """For each mark in *text*, the answer of *result*, what it cites, in order; not for documents that have no address.

    *base*: what addresses of the API begin with.
    """
    sources = {one["number"]: (one["title"], find_address(one, result["run_id"], base)) for one in result["citations"]}
    for match in _MARK.finditer(text):
        for number in map(int, _NUMBER.findall(match[0])):
            title, url = sources.get(number, ("", ""))
            if url:
                place = {"start_index": match.start(), "end_index": match.end()}
                yield {"type": "url_citation", **place, "title": title, "url": url}


def describe_extras(result: Mapping[str, Any]) -> dict[str, Any]:
    """`OpenAiExtras` of the *result* of a run."""
    return {name: result.get(name) for name in OpenAiExtras.model_fields}


def read_usage(result: Mapping[str, Any]) -> tuple[int, int]:
    """The tokens that the model read and wrote; none for an answer of an earlier version, which does not tell."""
    usage = result.get("usage", {})
    return usage.get("input_token_count", 0), usage.get("output_token_count", 0)


def continue_text(sent: str, answer: str) -> str:
    """What *answer* has more than was *sent* of it while it was written.

    Marks that point at nothing are left out of an answer at its end only: then what was told stays as it is.
    """
    return answer.removeprefix(sent) if answer.startswith(sent) else ""


def read_seconds(moment: str) -> int:
    """*moment* (RFC 3339) in seconds since 1970."""
    return int(datetime.fromisoformat(moment).timestamp())
