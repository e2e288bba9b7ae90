"""Settings that are right each by itself, but not together, or not for a service that others can reach."""

from collections.abc import Iterator
from ipaddress import ip_network

from bootstrap.checks.settings import Installation
from config import MAKE_KEY, Settings
from utils.addresses import hide_login, is_nearby, is_this_machine
from utils.findings import Finding, failure, ok, skipped, warning

_EXAMPLES = """
your-api-key your_api_key yourapikey your-api-key-here your_api_key_here your-secret-api-key your-secret-key
your-secure-api-key your_secret_key changeme change-me change_me change-me-in-production please-change-me replace-me
replaceme secret secret-key supersecret password test test-key test-api-key api-key api_key apikey example default dev
dev-key none null xxx 123456 12345678 1234567890 1234567890123456 abcdef ak_live_...
"""
_OF_REDIS_HOST = ("redis_port", "redis_db", "redis_username", "redis_password", "redis_tls")


def check_together(installation: Installation) -> list[Finding]:
    """Findings about several settings together."""
    findings = [finding for rule in _RULES for finding in rule(installation.settings)]
    if not findings and installation.wrong:
        names = " and ".join(sorted(name.upper() for name in installation.wrong))
        return [skipped("Settings together", f"not judged as a whole, because {names} cannot be used")]
    return findings or [ok("Settings together", "nothing contradicts, nothing is open that need not be")]


def _check_workers(settings: Settings) -> Iterator[Finding]:
    if (settings.workers or 1) > 1 and settings.is_embedded:
        embedded = [
            name
            for name, server in (("REDIS_URL", settings.redis_address), ("QDRANT_URL", settings.qdrant_url))
            if server is None
        ]
        text = f"{settings.workers} processes, but {' and '.join(embedded)} unset, so a store is embedded."
        remedy = f"Unset WORKERS, since an embedded store has one process, or set {' and '.join(embedded)}."
        yield failure("WORKERS", text, remedy)


def _check_debug(settings: Settings) -> Iterator[Finding]:
    if settings.flask_debug and not is_this_machine(settings.host):
        text = f"The debug mode is on, and HOST={settings.host} lets other machines in."
        yield failure("FLASK_DEBUG", text, "Unset FLASK_DEBUG, or set HOST=127.0.0.1.")


def _check_api_key(settings: Settings) -> Iterator[Finding]:
    key = settings.api_key.get_secret_value() if settings.api_key else ""
    if key.strip("<>\"' ").lower() in _EXAMPLES.split():
        text = "It is a placeholder from an example, which everybody can guess."
        yield failure("API_KEY", text, f"Set a long random one: `{MAKE_KEY}`.")


def _check_origins(settings: Settings) -> Iterator[Finding]:
    if "*" in settings.cors_origins and _is_reachable(settings):
        text = "Pages of any website may call the API from a browser (they still need a key)."
        yield warning("CORS_ORIGINS", text, "Name the websites: CORS_ORIGINS=https://www.example.org")


def _check_hosts(settings: Settings) -> Iterator[Finding]:
    if not settings.trusted_hosts and not settings.public_url and _is_reachable(settings):
        text = "Links in answers use the Host header of the request, which its sender can forge."
        yield warning("TRUSTED_HOSTS", text, "Name the service: TRUSTED_HOSTS=chat.example.org, or set PUBLIC_URL.")


def _check_limits(settings: Settings) -> Iterator[Finding]:
    if not settings.rate_limit_enabled:
        text = "No key is limited: one caller can use up what all share."
        yield warning("RATE_LIMIT_ENABLED", text, "Unset it, and raise RATE_LIMIT_PER_HOUR where it is too low.")


def _check_proxies(settings: Settings) -> Iterator[Finding]:
    if any(ip_network(network, strict=False).prefixlen == 0 for network in settings.forwarded_allow_ips):
        text = "Everybody's X-Forwarded-* headers are believed: callers can pose as any address."
        yield warning("FORWARDED_ALLOW_IPS", text, "Name the address of your proxy alone.")


def _check_redis(settings: Settings) -> Iterator[Finding]:
    fields = settings.model_fields_set
    if settings.redis_url and settings.redis_host:
        text = "REDIS_URL and REDIS_HOST are both set: REDIS_URL is used."
        yield warning("REDIS_HOST", text, "Unset one of them.")
    parts = [name.upper() for name in _OF_REDIS_HOST if name in fields]
    if parts and not settings.redis_host:
        text = f"{', '.join(parts)}: without effect, because REDIS_HOST is not set."
        yield warning("REDIS_HOST", text, f"Set REDIS_HOST, or unset {', '.join(parts)}.")


def _find_unencrypted(settings: Settings) -> Iterator[Finding]:
    for name, address in _list_addresses_with_keys(settings):
        if address.startswith(("redis", "http://")) and not _is_encrypted(address) and not is_nearby(address):
            encrypted = "rediss:// (REDIS_TLS=true)" if name == "REDIS_URL" else "https://"
            text = f"The key or password for {hide_login(address)} is sent over the network unencrypted."
            yield warning(name, text, f"Use {encrypted}; or keep it so, if that network is yours alone.")


def _list_addresses_with_keys(settings: Settings) -> Iterator[tuple[str, str]]:
    if settings.redis_address and "@" in settings.redis_address:
        yield "REDIS_URL", settings.redis_address
    if settings.qdrant_url and settings.qdrant_api_key:
        yield "QDRANT_URL", settings.qdrant_url
    for name, point in (("LLM_BASE_URL", settings.chat_endpoint), ("EMBEDDING_BASE_URL", settings.embedding_endpoint)):
        if point and point.api_key.get_secret_value() != "none":
            yield name, point.base_url


def _is_encrypted(address: str) -> bool:
    return address.startswith("rediss://") or "ssl=true" in address.lower()


def _find_without_effect(settings: Settings) -> Iterator[Finding]:
    fields = settings.model_fields_set
    for name in settings.without_effect:
        yield warning(name, "It is set but has no effect in this version.", "Unset it.")
    if settings.qdrant_url is None and "qdrant_api_key" in fields:
        yield warning(
            "QDRANT_API_KEY", "Without effect, because QDRANT_URL is not set.", "Set QDRANT_URL, or unset it."
        )
    if settings.embedding_endpoint is None:
        for field in sorted(fields & {"embedding_model", "embedding_dimension", "embedding_api_key"}):
            text = "Without effect: the embedding model that comes with the service is used."
            yield warning(field.upper(), text, "Set EMBEDDING_BASE_URL, or unset it.")
    if settings.chat_endpoint is None:
        for field in sorted(fields & {"llm_model", "llm_fallback_model"}):
            text = "Without effect: no chat model is configured, answers are quotes."
            yield warning(field.upper(), text, "Set LLM_BASE_URL or a key, or unset it.")


def _is_reachable(settings: Settings) -> bool:
    """Whether others can call: directly, or through a proxy that has been named."""
    return not is_this_machine(settings.host) or bool(settings.forwarded_allow_ips)


_RULES = (
    *(_check_workers, _check_debug, _check_api_key, _check_origins, _check_hosts, _check_limits, _check_proxies),
    *(_check_redis, _find_unencrypted, _find_without_effect),
)
