"""The last look at sentences, where it is configured: a chat model decides what words and vectors left open."""

import asyncio
import logging
from collections.abc import Sequence

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import HumanMessage

from agents.verification.verdict import Finding
from prompts.judging import judging_prompt, read_judgement
from utils.errors import ProviderError
from utils.passages import Passage

logger = logging.getLogger(__name__)

_MOST_SENTENCES = 12  # of an answer that are asked about, in one call


async def ask_judge(
    model: BaseChatModel, sentences: Sequence[str], passages: Sequence[Passage], *, timeout_s: float
) -> list[Finding | None]:
    """A finding for each of *sentences*, which rest on *passages*; None where the model does not say, or fails."""
    asked = sentences[:_MOST_SENTENCES]
    try:
        async with asyncio.timeout(timeout_s):
            reply = await model.ainvoke([HumanMessage(judging_prompt(asked, passages))])
    except (ProviderError, TimeoutError) as exc:
        logger.warning("Sentences not verified: the judge model did not answer.", exc_info=exc)
        return [None] * len(sentences)
    judged = read_judgement(reply.text, len(asked))
    return [_finding(verdict) for verdict in judged] + [None] * (len(sentences) - len(asked))


def _finding(verdict: bool | None) -> Finding | None:
    if verdict is None:
        return None
    if verdict:
        return Finding("supported", 1.0, "the judging model finds it in its source", "judge")
    return Finding("unsupported", 0.0, "the judging model does not find it in its source", "judge")
