"""What log lines must never hold, wherever it stands in them, and what they must hold nevertheless."""

import inspect
import json
import math
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.runs import keys as run_keys
from api import limits
from utils.checkpointer import keys as checkpointer_keys
from utils.log_ids import hash_id
from utils.masking import TEXT_LIMIT, make_loggable, mask

SECRET = "Zq8vT3kLmN7pR2sX"


@pytest.mark.parametrize(
    "text",
    [
        f"the key ak_live_{SECRET} was refused",
        f"Incorrect API key provided: sk-proj-{SECRET}",
        f"Authorization: Bearer {SECRET}",
        f"authorization: Basic {SECRET}==",
        f"Proxy-Authorization: {SECRET}",
        f"{{'Authorization': 'Bearer {SECRET}', 'Accept': '*/*'}}",
        f'{{"X-API-Key": "{SECRET}"}}',
        f"[(b'host', b'x'), (b'x-api-key', b'{SECRET}')]",
        f'"{{\\"x-api-key\\": \\"{SECRET}\\"}}"',
        f"X-Api-Key={SECRET}&more",
        f"{{'api-key': '{SECRET}'}}",
        f"CHAT_PAGE_KEY={SECRET}",
        f"sent with bearer {SECRET}",
        f"Error 111 connecting to redis://default:{SECRET}@cache.example:6379/0.",
        f"rediss://:{SECRET}@cache.example",
        f"redis://:p@ss{SECRET}@cache.example:6379/0",
        f"postgresql+psycopg://pustaka:{SECRET}@db.example/pustaka?sslmode=require",
        f"GET https://api.example/v1?api_key={SECRET}&page=2",
        f"connection to host=db user=pustaka password={SECRET} failed",
    ],
)
def test_a_secret_is_taken_out_of_a_text(text: str) -> None:
    assert SECRET not in mask(text)
    assert "***" in mask(text)


@pytest.mark.parametrize(
    "text",
    [
        "GET http://localhost:8000/v1/chat?email=a@b.example took 12 ms",
        "12 tokens, 3 passages; the author of the authorization chapter",
        "Listening at: http://127.0.0.1:8000 (42)",
        "Bearer tokens are read from the header",
        "/srv/pustaka/ak_live.txt",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert mask(text) == text


ID = "visitor-42_jakarta"


@pytest.mark.parametrize(
    "text",
    [
        f"state:{{checkpoint:{ID}}}: WRONGTYPE Operation against a key holding the wrong kind of value",
        f"Error at checkpoint:{ID}",
        f"['lease:{{checkpoint:{ID}}}', 'checkpoint:{ID}']",
        f"MOVED 3999 run:{{17}}:{ID}",
        f"limit:acme/{ID} is full",
    ],
)
def test_an_id_in_the_name_of_a_key_is_hashed_alike_each_time(text: str) -> None:
    found = mask(text)
    assert ID not in found
    assert found.count(hash_id(ID)) == text.count(ID)
    assert found == mask(text)


def key_names(module: ModuleType) -> Iterator[tuple[str, str]]:
    """What each function of a module that names a key gives for `ID`."""
    for name, build in inspect.getmembers(module, inspect.isfunction):
        if "_key" in name and build.__module__ == module.__name__ and name != "probe_key":  # that is of no conversation
            arguments = inspect.signature(build).parameters.values()
            given = (3 if one.annotation is int else "acme" if one.name == "tenant_id" else ID for one in arguments)
            yield name, build(*given)


@pytest.mark.parametrize("module", [run_keys, checkpointer_keys, limits])
def test_an_id_in_the_name_of_any_key_in_redis_is_hidden(module: ModuleType) -> None:
    named = [(name, key) for name, key in key_names(module) if ID in key]
    assert named
    for name, key in named:
        for text in (key, f"MOVED 3999 {key}", f"['{key}', '{key}']", f"WRONGTYPE at {key}, which is no hash"):
            assert ID not in mask(text), name
            assert hash_id(ID) in mask(text), name


@pytest.mark.parametrize(
    "name", ["thread_id", "conversation_id", "session_id", "run_id", "visitor_id", "subject_id", "document_id"]
)
def test_a_value_that_is_named_as_an_id_is_hashed(name: str) -> None:
    told = make_loggable({name: ID, f"former_{name}": ID, "dataset": ID, "missing": {name: None}})
    assert told == {name: hash_id(ID), f"former_{name}": hash_id(ID), "dataset": ID, "missing": {name: None}}


def test_what_is_around_a_secret_stays() -> None:
    told = mask(f"redis://default:{SECRET}@cache.example:6379/0 refused ak_live_{SECRET}")
    assert told == "redis://default:***@cache.example:6379/0 refused ak_live_***"


@pytest.mark.parametrize(
    "name",
    ["authorization", "X-API-Key", "api_key", "redis_password", "client_secret", "sentry_dsn", "Cookie", "token"],
)
def test_a_value_that_bears_the_name_of_a_secret_is_hidden_as_a_whole(name: str) -> None:
    assert make_loggable({name: [SECRET]}) == {name: "***"}


class _Unshowable:
    def __str__(self) -> str:
        raise RuntimeError("no")


def test_values_that_json_has_no_form_for_are_told_as_text() -> None:
    told = make_loggable({("a", 1): {3}, "nan": math.nan, "bytes": b"x", "broken": _Unshowable()})
    assert told["('a', 1)"] == [3]
    assert told["nan"] == "nan"
    assert "RuntimeError" in told["broken"]


@pytest.mark.parametrize("wrap", [lambda inner: [inner, inner], lambda inner: {"again": inner}])
def test_a_collection_inside_itself_ends(wrap: Callable[[Any], Any]) -> None:
    endless: list[Any] = []
    endless.append(wrap(endless))
    assert len(json.dumps(make_loggable(endless))) < 100


def test_a_long_text_keeps_both_ends() -> None:
    told = make_loggable("a" * 50_000 + "the cause")
    assert told.startswith("aaa")
    assert told.endswith("the cause")
    assert len(told) < TEXT_LIMIT + 100


def test_a_secret_at_the_cut_of_a_long_text_is_hidden() -> None:
    for length in range(TEXT_LIMIT // 2 - 40, TEXT_LIMIT // 2 + 10):
        told = make_loggable("a" * length + f" Authorization: Bearer {SECRET} " + "b" * 50_000)
        assert SECRET[4:8] not in told


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.complex_numbers(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers() | st.tuples(st.text()), inner),
)


@given(ANYTHING)
def test_whatever_is_logged_is_strict_json(value: Any) -> None:
    json.dumps(make_loggable(value), allow_nan=False)


@given(st.text(alphabet="ab:/@.= -'\"\\ak_live_Bearer x-api-key", max_size=300))
def test_masking_twice_changes_nothing_more(text: str) -> None:
    once = mask(text)
    assert mask(once) == once


_fragments = st.sampled_from(
    ["ak_live_", "sk-", "authorization", "X-API-Key", "api-key", "bearer", "Bearer ", "://", "u:p", "@", "api_key=",
     "pageKey=", "page_key=", "access_token=", "auth_token=", "password=", "passwd=", "secret=", ": ", "=", "abcdefgh",
     "\u017f", "\u212a", "\u0130", "\u0131", "AK_LIVE_", "API\u212aEY=", "AUTHOR\u0130ZATION: "]
)  # fmt: skip


@given(st.lists(st.one_of(_fragments, st.text(max_size=3)), max_size=12).map("".join))
def test_a_text_without_a_sign_of_a_secret_is_one_that_no_pattern_changes(text: str) -> None:
    assert mask(f"://\n{text}") == f"://\n{mask(text)}"  # with a sign before it, every pattern is tried
