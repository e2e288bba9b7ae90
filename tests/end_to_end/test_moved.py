"""An installation that was moved to other stores, and back: the same answers from the same places."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.stacks import KEY, WORKERS, GunicornService, servers
from tests.service import ROOT, Library, Service, ask

pytestmark = [pytest.mark.long, pytest.mark.soak]

QUESTIONS = [
    item["question"]
    for item in json.loads((ROOT / "tests" / "samples" / "questions.json").read_text())["questions"][::6]
]
Said = dict[str, tuple[str, list[dict[str, Any]]]]


def answers(service: Service, talk: str) -> Said:
    """What is answered to every question, each in a conversation of its own, with its citations."""
    said = {}
    with service.client() as client:
        for number, question in enumerate(QUESTIONS):
            answer = ask(client, question, f"{talk}-{number}").json()
            said[question] = answer["answer"], [_place(citation) for citation in answer["citations"]]
    return said


def conversation(service: Service, key: str) -> list[dict[str, Any]]:
    """One conversation, as it is read again with a key of its tenant."""
    with service.client(key) as client:
        messages: list[dict[str, Any]] = client.get("/v1/conversations/moved").json()["messages"]
        cited = ([_place(citation) for citation in message.get("citations") or []] for message in messages)
        return [{**message, "citations": places} for message, places in zip(messages, cited, strict=True)]


def _place(citation: dict[str, Any]) -> dict[str, Any]:
    """A citation without its link, which names the server and an end of its validity."""
    return {**citation, "link": bool(citation["link"]), "score": round(citation["score"], 3)}


def test_a_moved_installation_answers_the_same_from_the_same_places(library: Library, tmp_path: Path) -> None:
    (tmp_path / "before").mkdir()
    with library.service(tmp_path / "before", API_KEY=KEY, RATE_LIMIT_ENABLED="false") as before:
        said = answers(before, "before")
        acme = before.new_key("acme")
        with before.client() as client, before.client(acme) as other:
            ask(client, "How much does a dormitory room cost?", "moved")
            ask(other, "How do I apply?", "moved")
        ours, theirs = conversation(before, KEY), conversation(before, acme)
    assert sum(bool(citations) for _, citations in said.values()) > len(QUESTIONS) / 2
    with servers(tmp_path) as stores:
        variables = stores.variables()
        _move(Service(before.data_dir, **variables), "production")
        with GunicornService(tmp_path / "after", WORKERS=str(WORKERS), **variables) as after:
            assert answers(after, "after") == said
            assert (conversation(after, KEY), conversation(after, acme)) == (ours, theirs)
            with after.client() as client, after.client(acme) as other:
                assert "1,350,000" in ask(client, "And with a private bathroom?", "moved").json()["answer"]
                assert not ask(other, "How much does a dormitory room cost?", "theirs").json()["answered"]
        back = Service(tmp_path / "back", API_KEY=KEY, RATE_LIMIT_ENABLED="false", **variables)
        _move(back, "embedded")
    with Service(tmp_path / "back", API_KEY=KEY, RATE_LIMIT_ENABLED="false") as again:
        assert answers(again, "again") == said
        assert len(conversation(again, KEY)) == len(ours) + 2
        assert conversation(again, acme) == theirs


def _move(service: Service, where: str) -> None:
    moved = service.flask("migrate-data", "--to", where)
    assert moved.returncode == 0, moved.stdout + moved.stderr
