"""All checks, and how they are run: standard library alone, the rest is imported when its turn comes."""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from bootstrap.checks import python
from bootstrap.checks.running import RunnableCheck, run_all
from utils.findings import Finding, Level, failure, skipped

if TYPE_CHECKING:  # it imports packages
    from bootstrap.checks.settings import Installation
    from bootstrap.installation import UnitSettings
    from config import Settings

Groups = dict[str, list[Finding]]
_CONFIGURATION = "Configuration"
_INSTALL = "Install the packages first, as said above."
_ONE_VERSION = "Take all of the service's sources from one version."


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A row of `CHECKS`.

    `look`: a module of bootstrap.checks and the function in it, which takes an `Installation`. `fields`: how the names
    of the settings begin that it rests on; it is skipped where one of these is wrong. `asks`: whether these settings
    name something outside, which is not asked with --offline. `remedy`, `level`: as in `RunnableCheck`.
    """

    look: str
    fields: tuple[str, ...] = ()
    asks: Callable[["Settings"], object] = lambda _: False
    remedy: str = ""
    level: Level = Level.FAILURE
    limit_s: float = 15.0


_APPLICATION = "Application"
# By group, and by name.
CHECKS: dict[str, dict[str, Check]] = {
    _CONFIGURATION: {
        ".env": Check(look="settings.check_env_file"),
        "Settings together": Check(look="advice.check_together"),
        "TOOL_MODULES": Check(look="sources.check_tools", fields=("tool_modules",)),
    },
    "Folders": {
        "DATA_DIR": Check(look="folders.check_data_folder", fields=("data_dir",)),
        "KNOWLEDGE_DIR": Check(look="folders.check_knowledge", fields=("knowledge_dir",)),
        "CHAT_LOGO": Check(look="folders.check_logo", fields=("chat_logo",)),
        "HTTPS": Check(look="tls.check_tls", fields=("ssl_",)),
    },
    "Modules": {
        _APPLICATION: Check(look="sources.check_application", limit_s=60),
        "Agent modules": Check(look="sources.check_agent"),
        "Utility modules": Check(look="sources.check_utilities"),
        "Prompts": Check(look="sources.check_prompts"),
        "Language detection": Check(look="sources.check_languages"),
        "Document parsers": Check(look="sources.check_parsers", limit_s=30),
        "Sandbox": Check(look="sources.check_sandbox", limit_s=30),
        "Text recognition": Check(look="sources.check_recognition", limit_s=30),
        "Old formats": Check(look="sources.check_old_formats"),
    },
    "Deployment": {
        "Docker files": Check(look="deployment.check_docker_files"),
        # It reads all settings, and ends its process where one is wrong.
        "gunicorn.conf.py": Check(look="deployment.check_gunicorn", fields=("",), limit_s=30),
    },
    "Stores": {
        "Redis": Check(
            look="stores.check_redis",
            fields=("redis_",),
            asks=lambda settings: settings.redis_address,
            remedy="Start it, or correct REDIS_URL (REDIS_HOST and REDIS_PORT); unset it for an embedded one.",
            limit_s=25,
        ),
        "Database": Check(
            look="stores.check_database",
            fields=("database_uri", "data_dir", "db_pool_size"),
            asks=lambda settings: not settings.database_address.startswith("sqlite:"),
            remedy="Start it, or correct DATABASE_URI; unset it for a SQLite database in DATA_DIR.",
        ),
    },
    "Search": {
        # Together, since they have to fit each other: the check itself looks which of the two it can look at.
        "Embedding model and Qdrant": Check(look="search.check_search", limit_s=25),
        # Searches go on without it, so it is only warned of.
        "Reranker": Check(
            look="models.check_reranker",
            fields=("rerank_",),
            asks=lambda settings: settings.rerank_endpoint,
            remedy="Check RERANK_BASE_URL, RERANK_API_KEY and RERANK_MODEL, or unset them.",
            level=Level.WARNING,
            limit_s=25,
        ),
    },
    "Malware": {
        "Malware scanner": Check(
            look="stores.check_scanner",
            fields=("clamd_address", "scanner_required"),
            asks=lambda settings: settings.clamd_address,
            limit_s=25,
        ),
    },
    "Answers": {
        "Chat model": Check(
            look="models.check_chat_model",
            fields=("llm_", "openai_", "openrouter_"),
            asks=lambda settings: settings.chat_endpoint,
            limit_s=25,
        ),
    },
    "Voice": {
        "Speech": Check(
            look="models.check_speech",
            fields=("stt_", "tts_", "prosa_", "emotion_", "voice_"),
            asks=lambda settings: (
                settings.speech_to_text_endpoint
                or settings.text_to_speech_endpoint
                or settings.prosa_speech_to_text
                or settings.prosa_text_to_speech
                or settings.emotion_endpoint
            ),
            limit_s=45,
        ),
    },
    "Verification": {
        "Entailment model": Check(look="models.check_entailment_model", fields=("verify_model_",), limit_s=60),
    },
    "Reporting": {
        "LangSmith": Check(look="reporting.check_langsmith", fields=("langchain_",)),
        "Sentry": Check(look="reporting.check_sentry", fields=("sentry_",)),
    },
    "Servers": {
        "Ports": Check(look="ports.check_ports", fields=("host", "port", "streamlit_", "metrics_port", "prometheus_")),
    },
}


def run_checks(
    root: Path, *, offline: bool, only: Collection[str] = (), entered: "UnitSettings | None" = None
) -> Groups:
    """Every finding by group, about the service in *root* as its unit starts it, or as it would be started here.

    *entered*: that unit. *offline*: no configured dependency is asked. *only*: names of groups, none for all; Python,
    its packages and the values of the settings are always looked at.
    """
    groups: Groups = {"Python": [*chain.from_iterable(run_all(python.list_checks(root)))]}
    try:
        settings = import_module("bootstrap.checks.settings")
    except Exception as exc:
        return groups | {_CONFIGURATION: [_explain_import(_CONFIGURATION, exc)]}
    installation, groups[_CONFIGURATION] = settings.load_installation(root, offline=offline)
    groups[_CONFIGURATION] = settings.describe_source(entered) + groups[_CONFIGURATION]
    if installation is None:
        return groups
    for name, findings in _run({name: rows for name, rows in CHECKS.items() if not only or name in only}, installation):
        groups[name] = settings.hide_secrets(groups.get(name, []) + findings, installation.settings)
    return groups


def _run(
    groups: Mapping[str, Mapping[str, Check]], installation: "Installation"
) -> Iterator[tuple[str, list[Finding]]]:
    checks = {name: check for rows in groups.values() for name, check in rows.items()}
    findings: dict[str, list[Finding]] = {}
    # The application first and alone: it imports most packages, whose time would count against the others' limits.
    for names in ([_APPLICATION] if _APPLICATION in checks else [], [name for name in checks if name != _APPLICATION]):
        findings |= zip(names, run_all([_prepare(name, checks[name], installation) for name in names]), strict=True)
    for group, rows in groups.items():
        yield group, [finding for name in rows for finding in findings[name]]


def _prepare(name: str, check: Check, installation: "Installation") -> RunnableCheck:
    if why := installation.explain_skip(*check.fields, asks=check.asks):
        return RunnableCheck(name, lambda: [skipped(name, why)])
    module, _, function = check.look.partition(".")
    try:
        look = getattr(import_module(f"bootstrap.checks.{module}"), function)
    except Exception as exc:
        finding = _explain_import(name, exc)
        return RunnableCheck(name, lambda: [finding])
    return RunnableCheck(name, partial(look, installation), check.limit_s, check.remedy, check.level)


def _explain_import(check: str, exc: Exception) -> Finding:
    if isinstance(exc, ImportError) and exc.name:
        return failure(check, f"Not looked at: {exc.name} cannot be imported.", _INSTALL)
    return failure(check, f"Not looked at: {type(exc).__name__} on importing it.", _ONE_VERSION)
