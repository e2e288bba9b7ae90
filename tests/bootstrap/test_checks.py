"""The parts of the operator's check that need no service: limits of time, advice, what may be shown, the table."""

import threading
import time
from collections.abc import AsyncIterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from bootstrap.checks.advice import check_together
from bootstrap.checks.models import list_chat_variables, list_embedding_variables, name_variables
from bootstrap.checks.output import format_table
from bootstrap.checks.running import RunnableCheck, run_all
from bootstrap.checks.settings import Installation, hide_secrets
from bootstrap.checks.table import CHECKS
from config import Settings
from utils.errors import StoreRefused
from utils.findings import Finding, Level, failure, ok, split_message, warning

KEY = "a-key-of-thirty-two-characters-00"


def _settings(**values: Any) -> Settings:
    return Settings(_env_file=None, **values)


def _advice(**values: Any) -> dict[str, Level]:
    found = check_together(Installation(Path("/nowhere"), _settings(**values)))
    return {finding.check: finding.level for finding in found}


def test_a_check_that_hangs_or_breaks_does_not_keep_the_others() -> None:
    never, began = threading.Event(), time.monotonic()

    def breaks() -> list[Finding]:
        raise RuntimeError(f"something about {KEY}")

    def leaves() -> list[Finding]:
        raise SystemExit(0)

    [hanging], [broken], [left], [well] = run_all(
        [
            RunnableCheck("hanging", lambda: [ok("hanging", str(never.wait()))], limit_s=0.2),
            RunnableCheck("broken", breaks),
            RunnableCheck("left", leaves),
            RunnableCheck("well", lambda: [ok("well", "it is")]),
        ]
    )
    never.set()
    assert time.monotonic() - began < 5
    assert (hanging.level, broken.level, left.level, well.level) == (*[Level.FAILURE] * 3, Level.OK)
    assert "0.2 s" in hanging.found
    assert "RuntimeError" in broken.found
    assert KEY not in broken.found


@pytest.mark.parametrize("name", [name for rows in CHECKS.values() for name in rows])
def test_a_row_of_the_table_names_a_function_and_settings_that_there_are(name: str) -> None:
    row = next(rows[name] for rows in CHECKS.values() if name in rows)
    module, _, function = row.look.partition(".")
    assert callable(getattr(import_module(f"bootstrap.checks.{module}"), function))
    assert [start for start in row.fields if not any(field.startswith(start) for field in Settings.model_fields)] == []
    row.asks(_settings())


def test_a_problem_on_the_way_keeps_what_was_found_before_and_says_what_to_do() -> None:
    async def look() -> AsyncIterator[Finding]:
        yield ok("model", "it is")
        raise StoreRefused("Redis is full.")

    [[well, full]] = run_all([RunnableCheck("Redis", look, remedy="Make room.", level=Level.WARNING)])
    assert well == ok("model", "it is")
    assert full == warning("Redis", "Redis is full.", "Make room.")


_NAMED = {"cors_origins": "", "trusted_hosts": "itb.ac.id"}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, {"Settings together": Level.OK}),
        ({"workers": 4}, {"WORKERS": Level.FAILURE}),
        ({"workers": 4, "redis_url": "redis://redis", "qdrant_url": "http://qdrant"}, {"Settings together": Level.OK}),
        ({"api_key": "Your-Secret-API-Key"}, {"API_KEY": Level.FAILURE}),
        ({"api_key": "<your-secret-key>"}, {"API_KEY": Level.FAILURE}),
        ({"api_key": KEY}, {"Settings together": Level.OK}),
        ({"host": "0.0.0.0"}, {"CORS_ORIGINS": Level.WARNING, "TRUSTED_HOSTS": Level.WARNING}),  # noqa: S104 - nothing listens
        ({"host": "10.0.0.5", "cors_origins": "https://itb.ac.id"}, {"TRUSTED_HOSTS": Level.WARNING}),
        ({"host": "10.0.0.5", "cors_origins": "", "trusted_hosts": "itb.ac.id"}, {"Settings together": Level.OK}),
        ({"host": "10.0.0.5", "cors_origins": "", "public_url": "https://itb.ac.id"}, {"Settings together": Level.OK}),
        ({"forwarded_allow_ips": "10.0.0.1", "trusted_hosts": "itb.ac.id"}, {"CORS_ORIGINS": Level.WARNING}),
        ({"forwarded_allow_ips": "0.0.0.0/0", **_NAMED}, {"FORWARDED_ALLOW_IPS": Level.WARNING}),
        ({"flask_debug": True}, {"Settings together": Level.OK}),
        ({"flask_debug": True, "host": "::", **_NAMED}, {"FLASK_DEBUG": Level.FAILURE}),
        ({"rate_limit_enabled": False}, {"RATE_LIMIT_ENABLED": Level.WARNING}),
        ({"redis_url": "redis://:pw@cache.example.org"}, {"REDIS_URL": Level.WARNING}),
        ({"redis_url": "rediss://:pw@cache.example.org"}, {"Settings together": Level.OK}),
        ({"redis_url": "redis+cluster://:pw@a.example.org,b.example.org"}, {"REDIS_URL": Level.WARNING}),
        ({"redis_url": "redis+cluster://:pw@a.example.org?ssl=true"}, {"Settings together": Level.OK}),
        ({"redis_url": "redis://:pw@127.0.0.1:6379"}, {"Settings together": Level.OK}),
        ({"redis_url": "redis://cache.example.org"}, {"Settings together": Level.OK}),
        ({"redis_url": "unix:///run/redis.sock"}, {"Settings together": Level.OK}),
        ({"redis_url": "redis://redis", "redis_host": "other"}, {"REDIS_HOST": Level.WARNING}),
        ({"redis_password": "pw"}, {"REDIS_HOST": Level.WARNING}),
        ({"qdrant_url": "http://vectors.example.org", "qdrant_api_key": KEY}, {"QDRANT_URL": Level.WARNING}),
        ({"qdrant_url": "https://vectors.example.org", "qdrant_api_key": KEY}, {"Settings together": Level.OK}),
        ({"qdrant_api_key": KEY}, {"QDRANT_API_KEY": Level.WARNING}),
        ({"llm_base_url": "http://gpu.example.org/v1", "llm_api_key": KEY}, {"LLM_BASE_URL": Level.WARNING}),
        ({"llm_base_url": "http://gpu.example.org/v1"}, {"Settings together": Level.OK}),
        ({"llm_model": "m"}, {"LLM_MODEL": Level.WARNING}),
        ({"embedding_dimension": 5}, {"EMBEDDING_DIMENSION": Level.WARNING}),
        ({"pinecone_api_key": KEY}, {"PINECONE_API_KEY": Level.WARNING}),
    ],
)
def test_settings_are_judged_together(values: dict[str, Any], expected: dict[str, Level]) -> None:
    assert _advice(**values) == expected


def test_a_remedy_names_the_variable_that_is_set() -> None:
    refused = failure("Chat model", "refused", "Check LLM_API_KEY, LLM_BASE_URL and EMBEDDING_API_KEY.")

    def remedy(names: dict[str, str]) -> str:
        return name_variables(refused, names).remedy

    assert "Check OPENROUTER_API_KEY, that this machine reaches openrouter.ai" in remedy(
        list_chat_variables(_settings(openrouter_api_key=KEY))
    )
    assert "Check OPENAI_API_KEY, OPENAI_BASE_URL" in remedy(
        list_chat_variables(_settings(openai_base_url="http://here"))
    )
    assert "Check LLM_API_KEY, LLM_BASE_URL" in remedy(list_chat_variables(_settings(llm_base_url="http://here")))
    assert "Check LLM_API_KEY, that" in remedy(list_chat_variables(_settings(openai_api_key=KEY, llm_api_key=KEY)))
    assert "and OPENAI_API_KEY" in remedy(list_embedding_variables(_settings(openai_api_key=KEY)))


def test_secrets_are_crossed_out_wherever_they_stand() -> None:
    settings = _settings(
        api_key=KEY, redis_url="redis://:p%40ssw%2Frd@host", qdrant_url="http://me:open-sesame@host", llm_model="m"
    )
    words = f"{KEY} p%40ssw%2Frd p@ssw/rd redis://:p%40ssw%2Frd@host http://somebody:else@host open-sesame"
    [row] = hide_secrets([warning("check", words, words)], settings)
    for text in (row.found, row.remedy):
        assert text == "*** *** *** *** http://host ***"


def test_a_message_is_parted_into_what_is_and_what_to_do() -> None:
    parted = split_message("Redis", "Redis at h:1 is full: raise its maxmemory.", "-")
    assert (parted.found, parted.remedy) == ("Redis at h:1 is full.", "Raise its maxmemory.")
    assert split_message("Redis", "DATABASE_URI: it does not answer.", "Start it.").remedy == "Start it."


@pytest.mark.parametrize("width", [60, 100])
def test_a_table_keeps_to_its_width_and_loses_nothing(width: int) -> None:
    long = "the quick brown fox jumps over the lazy dog " * 8
    rows = [ok("A name that is longer than its column may ever be", long), failure("Short", long, long)]
    lines = format_table({"Group": rows}, passed=False, seconds=1.0, width=width).splitlines()
    assert max(map(len, lines)) <= width
    assert " ".join(" ".join(lines).split()).count("lazy") == 24
    assert next(line for line in lines if line.startswith("Short ")).split()[1] == "FAILURE"


def test_colours_are_for_terminals() -> None:
    groups = {"Group": [failure("Check", "found", "do")]}
    assert "\x1b[" in format_table(groups, passed=False, seconds=1.0, coloured=True)
    assert "\x1b[" not in format_table(groups, passed=False, seconds=1.0)
