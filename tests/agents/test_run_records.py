"""What is kept of a run, and read again by workers of this version and of the one before."""

from dataclasses import replace

import pytest

from agents.messages import Past
from agents.runs.record import RunRecord
from auth.credentials import make_key_principal, make_page_principal, make_visitor
from auth.operators import make_operator
from auth.principal import Principal, PrincipalKind
from auth.scopes import ALL_SCOPES, VISITOR_SCOPES, Scope

# As 1.0.0 wrote it, but for what each test is about.
OF_1_0_0 = {
    "tenant": "acme",
    "key": "k3y1d000",
    "kind": "key",
    "shares": "",
    "conversation": "talk",
    "request": "r",
    "streams": "1",
    "fingerprint": "same",
    "created_at": "2026-11-24T00:00:00Z",
    "keep_s": "60",
    "status": "running",
    "attempts": "1",
}
CHAT = frozenset({Scope.CHAT_WRITE})


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        ({}, make_key_principal("acme", "k3y1d000", CHAT)),
        ({"tenant": "globex"}, make_key_principal("globex", "k3y1d000", CHAT)),
        ({"shares": "1"}, make_key_principal("acme", "k3y1d000", CHAT | {Scope.CONVERSATIONS_ALL})),
        ({"kind": "visitor", "key": "v-1"}, Principal("acme", "v-1", PrincipalKind.VISITOR, CHAT)),
        ({"kind": "operator"}, Principal("acme", "k3y1d000", PrincipalKind.OPERATOR, CHAT)),
        ({"kind": "background"}, Principal("acme", "k3y1d000", PrincipalKind.SYSTEM, CHAT)),
    ],
)
def test_a_run_that_1_0_0_began_is_read(stored: dict[str, str], expected: Principal) -> None:
    assert RunRecord.from_fields("run", {**OF_1_0_0, **stored}, "Why?").ctx == expected


@pytest.mark.parametrize(
    ("ctx", "kind"),
    [
        (make_key_principal("acme", "k3y1d000", ALL_SCOPES), "key"),
        (make_key_principal("globex", "k3y1d000", CHAT), "key"),
        (make_visitor(make_page_principal(), "1"), "visitor"),
        (make_operator("acme"), "operator"),
        (Principal("acme", "k3y1d000", PrincipalKind.API_KEY, CHAT, bot_id="faq"), "key"),
    ],
)
def test_a_run_keeps_its_principal_whole_in_words_that_1_0_0_reads(ctx: Principal, kind: str) -> None:
    run = RunRecord.from_fields("run", OF_1_0_0, "Why?")
    fields = RunRecord("run", ctx, *(getattr(run, name) for name in RunRecord.__slots__[2:])).make_fields()
    assert RunRecord.from_fields("run", fields, "Why?").ctx == ctx
    assert (fields["tenant"], fields["key"], fields["kind"]) == (ctx.tenant_id, ctx.subject_id, kind)
    assert fields["shares"] == ("1" if Scope.CONVERSATIONS_ALL in ctx.scopes else "")


def test_a_scope_of_a_version_to_come_is_none_here() -> None:
    fields = {**OF_1_0_0, "scopes": "chat:write fly:away", "bot": ""}
    assert RunRecord.from_fields("run", fields, "Why?").ctx.scopes == CHAT


def test_what_a_visitor_may_covers_what_a_run_of_theirs_needs() -> None:
    run = RunRecord.from_fields("run", {**OF_1_0_0, "kind": "visitor", "key": "v-1"}, "Why?")
    assert set(run.needed_scopes) <= VISITOR_SCOPES


def test_what_was_said_before_a_conversation_stays_with_its_run() -> None:
    past: Past = (("user", "My name is Ada."), ("assistant", "Hello!"))
    run = replace(RunRecord.from_fields("run", OF_1_0_0, "Why?"), past=past)
    assert RunRecord.from_fields("run", run.make_fields(), run.pack_question()) == run
    assert replace(run, past=()).pack_question() == "Why?"


@pytest.mark.parametrize("past", [(), (("user", "My name is Ada."), ("assistant", "Hello!"))])
def test_how_somebody_sounds_is_kept_with_the_question_that_is_encrypted(past: Past) -> None:
    run = replace(RunRecord.from_fields("run", OF_1_0_0, "Why?"), past=past, emotion="sad")
    assert "sad" not in str(run.make_fields())
    assert RunRecord.from_fields("run", run.make_fields(), run.pack_question()) == run
