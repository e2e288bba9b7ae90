"""The reranker: its endpoint is asked to order two short texts. Searches go on without it, so it is only warned of."""

from bootstrap.checks.advice import shown
from bootstrap.checks.finding import Finding, Level, ok, skipped
from bootstrap.checks.refusals import noting
from bootstrap.checks.running import Check, waiting_for
from bootstrap.checks.settings import Installation
from config import Endpoint
from providers.gate import Gate
from providers.rerank.endpoint import EndpointReranker

_RERANKER = "Reranker"
_TIMEOUT_S = 8.0
_CHECK = "Check RERANK_BASE_URL, RERANK_API_KEY and RERANK_MODEL, or unset them."


def checks(installation: Installation) -> list[Check]:
    """The check of this group; none where there is no reranker."""
    if installation.settings.rerank_base_url is None:
        return []
    return [Check(_RERANKER, waiting_for(lambda: _look(installation)), limit_s=25)]


async def _look(installation: Installation) -> list[Finding]:
    endpoint = installation.settings.rerank_endpoint
    if why := installation.why_not("rerank_"):
        return [skipped(_RERANKER, why)]
    if why := installation.why_not_ask():
        return [skipped(_RERANKER, why)]
    return [] if endpoint is None else await _ask(endpoint)


async def _ask(endpoint: Endpoint) -> list[Finding]:
    findings: list[Finding] = []
    reranker = EndpointReranker(
        base_url=endpoint.base_url,
        api_key=endpoint.api_key,
        model=endpoint.model,
        timeout_s=_TIMEOUT_S,
        gate=Gate(1, wait_s=_TIMEOUT_S, name="reranker"),
    )
    try:
        with noting(findings, _RERANKER, _CHECK, Level.WARNING):
            await reranker.rerank("When is it open?", ["It opens at eight.", "It is blue."])
            findings.append(ok(_RERANKER, f"{endpoint.model} at {shown(endpoint.base_url)}"))
    finally:
        await reranker.aclose()
    return findings
