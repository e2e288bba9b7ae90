"""The ports: free, or held by a service of ours, which is then asked how it is."""

from collections.abc import Iterator
from typing import Any

import httpx

from bootstrap.checks.settings import Installation
from config import Settings
from utils.addresses import is_this_machine
from utils.findings import Finding, failure, ok, skipped, split_message, warning
from utils.processes import StartError, reserve_port

_TIMEOUT_S = 5.0
_OURS = {"status", "version", "redis", "timestamp"}  # what our /health tells everybody


def check_ports(installation: Installation) -> Iterator[Finding]:
    """Check the ports of the API, the chat page and the metrics."""
    settings = installation.settings
    with httpx.Client(timeout=_TIMEOUT_S, trust_env=False) as http:
        findings, is_ours = _check_api(http, settings)
        yield from findings
        yield _check_page(http, settings, beside_ours=is_ours)
        yield _check_metrics(http, settings, beside_ours=is_ours)


def _check_api(http: httpx.Client, settings: Settings) -> tuple[list[Finding], bool]:
    try:
        reserve_port(settings.host, settings.port, variable="PORT").close()
        return [ok("PORT", f"{settings.host} port {settings.port} is free: the service does not run there")], False
    except StartError as exc:
        address = _make_address(settings.host, settings.port)
        health = _fetch_json(http, f"{address}/health")
        if not set(health) >= _OURS:
            return [split_message("PORT", str(exc), "Set HOST and PORT to others.")], False
    runs = ok("PORT", f"the service runs at {address}, version {health.get('version')}")
    return [runs, *_check_health(http, address, health)], True


def _check_health(http: httpx.Client, address: str, health: dict[str, Any]) -> Iterator[Finding]:
    text = f"{health.get('status')}, Redis: {health.get('redis')}"
    if health.get("status") == "healthy":
        yield ok("/health", text)
    else:  # no key is sent for more: another program might listen there
        yield warning("/health", text, "The service's log says why, and /health?verbose to those with a key.")
    ready = _fetch_json(http, f"{address}/ready")
    if ready.get("status") == "ready":
        yield ok("/ready", "ready")
    else:
        text = f"not ready: {ready.get('detail') or 'it does not answer'}"
        yield failure("/ready", text, "If it has just been started wait a moment, else look at its log.")


def _check_page(http: httpx.Client, settings: Settings, *, beside_ours: bool) -> Finding:
    if not settings.streamlit_enabled:
        return skipped("STREAMLIT_PORT", "no chat page is started beside the API (STREAMLIT_ENABLED)")
    try:
        reserve_port(settings.host, settings.streamlit_port, variable="STREAMLIT_PORT").close()
        return ok("STREAMLIT_PORT", f"{settings.host} port {settings.streamlit_port} is free")
    except StartError as exc:
        address = _make_address(settings.host, settings.streamlit_port)
        page = _fetch(http, f"{address}/_stcore/health")
        if page is None or not page.is_success:
            return split_message("STREAMLIT_PORT", str(exc), "Set HOST and STREAMLIT_PORT to others.")
    if beside_ours:
        return ok("STREAMLIT_PORT", f"the chat page runs at {address}")
    text = f"A Streamlit page runs at {address}, but no service at PORT."
    return warning("STREAMLIT_PORT", text, "If it is not this service's, set STREAMLIT_PORT to another port.")


def _check_metrics(http: httpx.Client, settings: Settings, *, beside_ours: bool) -> Finding:
    if not settings.prometheus_enabled:
        return skipped("METRICS_PORT", "no metrics are served (PROMETHEUS_ENABLED)")
    if settings.metrics_port in (settings.port, settings.streamlit_port if settings.streamlit_enabled else 0):
        return failure("METRICS_PORT", "It is the port of another server of this service.", "Set it to another port.")
    try:
        reserve_port(settings.metrics_host, settings.metrics_port, variable="METRICS_PORT").close()
    except StartError as exc:
        address = _make_address(settings.metrics_host, settings.metrics_port)
        metrics = _fetch(http, f"{address}/metrics")
        if beside_ours and metrics is not None and "pustaka_build_info" in metrics.text:
            return ok("METRICS_PORT", f"metrics are served at {address}/metrics")
        return split_message("METRICS_PORT", str(exc), "Set METRICS_PORT to another.")
    if beside_ours:
        text = "The service runs, but serves no metrics here."
        return warning("METRICS_PORT", text, "Restart it: it was started with other settings.")
    if is_this_machine(settings.metrics_host):
        return ok("METRICS_PORT", f"{settings.metrics_host} port {settings.metrics_port} is free")
    text = (
        f"{settings.metrics_host} port {settings.metrics_port} is free; there, anybody who reaches it can read metrics"
    )
    return ok("METRICS_PORT", text)


def _make_address(host: str, port: int) -> str:
    """Where a program on this machine reaches what listens on *host*."""
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not bound
    return f"http://{f'[{reachable}]' if ':' in reachable else reachable}:{port}"


def _fetch(http: httpx.Client, url: str) -> httpx.Response | None:
    """What answers at *url*, whatever the status; None if nothing does."""
    try:
        return http.get(url)
    except httpx.HTTPError:
        return None


def _fetch_json(http: httpx.Client, url: str) -> dict[str, Any]:
    """The JSON object at *url*, an empty one where there is none."""
    answer = _fetch(http, url)
    try:
        json = answer.json() if answer is not None else None
    except ValueError:
        return {}
    return json if isinstance(json, dict) else {}
