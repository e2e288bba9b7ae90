"""What a model says, piece by piece, without its word for "not in the documents"."""

import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage

from agents.state import AnswerModel
from prompts.rag import NOT_IN_DOCUMENTS_MARK
from utils.errors import ProviderUnavailable

logger = logging.getLogger("agents.nodes.answer")

_CUT_SHORT = ("length", "content_filter")  # reasons to finish


async def ask_model(model: AnswerModel, prompt: list[BaseMessage], streams: bool) -> AsyncGenerator[BaseMessage]:
    """What the model says, in pieces where somebody watches: each of them costs CPU.

    Raises:
        ProviderUnavailable: a language model said nothing, which is no word for "not in the documents".
    """
    has_text = False
    async for chunk in _listen(model.chat, prompt, streams):
        has_text = has_text or bool(chunk.text.strip())
        if has_text or not is_cut_short(chunk):
            yield chunk
    if model.is_language_model and not has_text:
        logger.warning("The chat model returned an empty answer: check its token limit and its content filter.")
        raise ProviderUnavailable("The chat model returned an empty answer.")


async def _listen(chat: BaseChatModel, prompt: list[BaseMessage], streams: bool) -> AsyncGenerator[BaseMessage]:
    if streams:
        async for chunk in chat.astream(prompt):
            yield chunk
    else:
        yield await chat.ainvoke(prompt)


async def hold_back_refusal(chunks: AsyncGenerator[BaseMessage]) -> AsyncGenerator[tuple[str, BaseMessage | None]]:
    """Text as it comes, but nothing while it may still become the word for "not in the documents", and never that."""
    buffer, passed = "", False
    async with aclosing(chunks):
        async for chunk in chunks:
            if passed:
                yield chunk.text, chunk
                continue
            buffer = (buffer + chunk.text).lstrip()
            passed = not NOT_IN_DOCUMENTS_MARK.startswith(buffer[: len(NOT_IN_DOCUMENTS_MARK)])
            yield buffer if passed else "", chunk
            buffer = buffer[: len(NOT_IN_DOCUMENTS_MARK)]  # what follows it changes nothing
        if not passed and not buffer.startswith(NOT_IN_DOCUMENTS_MARK):
            yield buffer.strip(), None


def get_model_name(chunk: BaseMessage | None) -> str:
    metadata = chunk.response_metadata if chunk else {}
    return str(metadata.get("answered_by") or metadata.get("model_name") or "")


def is_cut_short(chunk: BaseMessage | None) -> bool:
    return chunk is not None and chunk.response_metadata.get("finish_reason") in _CUT_SHORT


def is_fallback(chunk: BaseMessage | None) -> bool:
    return chunk is not None and bool(chunk.response_metadata.get("is_fallback"))
