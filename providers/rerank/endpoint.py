"""Reranking by an endpoint that speaks Cohere's wire format, as Jina, vLLM and Text Embeddings Inference's proxies do.

Wire format: https://docs.cohere.com/reference/rerank, https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html
"""

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

from pydantic import SecretStr

from providers.gate import Gate
from providers.openai_errors import CALL_ERRORS, EndpointInfo, describe_failure
from providers.openai_wire import OpenAIWire
from providers.retries import CallFailed, CallLimits, retry

_CONNECT_TIMEOUT_S = 2.0


class EndpointReranker:
    """`Reranker` over an endpoint; belongs to the event loop it was made in. Nothing is asked of it yet."""

    def __init__(self, *, base_url: str, api_key: SecretStr, model: str, timeout_s: float, gate: Gate) -> None:
        """*base_url* is the part before `/rerank`, often it ends in `/v1`. *timeout_s* bounds a call with its retry."""
        self._wire = OpenAIWire(base_url, api_key, connect_timeout_s=min(_CONNECT_TIMEOUT_S, timeout_s))
        limits = CallLimits(timeout_s=timeout_s, max_retries=1, backoff_s=0.1)
        self._side, self._limits, self.gate = EndpointInfo("reranker", "RERANK", model), limits, gate

    async def rerank(self, question: str, texts: Sequence[str]) -> Sequence[float]:
        """How relevant each of *texts* is to *question*, in their order; higher is better, on the model's own scale.

        Raises:
            ProviderUnavailable: the endpoint did not answer, or not with a number for each text.
            ProviderTimeout: the same, because it took too long.
            ProviderBusy: too many calls were under way for too long; nothing was asked.
        """
        if not texts:
            return []
        body = {"model": self._side.model, "query": question, "documents": list(texts), "top_n": len(texts)}
        try:
            async with self.gate.hold_place():
                answered = await retry(
                    partial(self._wire.ask, "/rerank", body), self._side, self._limits, self.gate.observer
                )
            return _read_scores(answered["results"], len(texts))
        except CallFailed as exc:
            raise exc.failure.problem from exc.__cause__
        except CALL_ERRORS as exc:
            raise describe_failure(exc, self._side).problem from exc

    async def aclose(self) -> None:
        """Close the connections; in the event loop that used them."""
        await self._wire.aclose()


def _read_scores(results: Sequence[dict[str, Any]], count: int) -> list[float]:
    """The scores by place.

    Raises:
        ValueError: not every one of *count* texts has one score that is a number; KeyError, TypeError alike.
    """
    by_place = {int(result["index"]): float(result["relevance_score"]) for result in results}
    if sorted(by_place) != list(range(count)) or not all(map(math.isfinite, by_place.values())):
        raise ValueError("not a score for each text")
    return [by_place[place] for place in range(count)]
