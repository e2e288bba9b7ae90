"""Questions that are asked anew stand beside the former ones: what branches show, tell a model, share and fork."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.branches import MAX_SIBLINGS, START
from tests.api.conftest import settle
from tests.api.test_conversations import let_expire
from tests.examples import count_examples
from tests.fakes.model_server import FakeModelServer
from tests.service import Service

_STATES = ("checkpoint:*", "state:*", "places:*")


@dataclass
class Tree:
    """A conversation as a plain list: each turn with the number of the one it follows, -1 for none."""

    client: httpx.Client
    id: str = field(default_factory=lambda: uuid4().hex)
    questions: list[str] = field(default_factory=list)
    runs: list[str] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)

    def ask(self, parent: int | None = None, **more: Any) -> httpx.Response:
        """A question like no other that follows that turn; None: it does not say which."""
        question = f"How much does a dormitory room cost a month? {len(self.runs)}-{uuid4().hex[:6]}"
        named = {} if parent is None else {"parent_run_id": START if parent < 0 else self.runs[parent]}
        body = {"message": question, **named, **more}
        told = self.client.post("/v1/chat", json=body, headers={"X-Conversation-Id": self.id})
        if told.status_code == 200:
            expected = len(self.runs) - 1 if parent is None else parent
            assert told.json()["parent_run_id"] == (START if expected < 0 else self.runs[expected])
            self.questions.append(question)
            self.runs.append(told.json()["run_id"])
            self.parents.append(expected)
        return told

    def path(self, at: int) -> list[int]:
        """The turns from the first one to that one."""
        return [] if at < 0 else [*self.path(self.parents[at]), at]

    def end(self, at: int) -> int:
        """The turn that was asked last of those below."""
        return max(number for number in range(len(self.runs)) if at in self.path(number))

    def read(self, **query: Any) -> httpx.Response:
        """What the service says of it."""
        return self.client.get(f"/v1/conversations/{self.id}", params=query)

    def check(self, at: int | None = None, **query: Any) -> None:
        """That the branch of that turn, or the one used last, is shown as it was."""
        path = self.path(len(self.runs) - 1 if at is None else self.end(at))
        shown = self.read(**query, **({} if at is None else {"branch": self.runs[at]})).json()
        asked = [message for message in shown["messages"] if message["role"] == "user"]
        assert [message["content"] for message in asked] == [self.questions[number] for number in path]
        assert [message["run_id"] for message in shown["messages"]] == [self.runs[each] for each in path for _ in "qa"]
        assert shown["total"] == 2 * len(path)
        for number, message in zip(path, asked, strict=True):
            parent = self.parents[number]
            siblings = [self.runs[each] for each in range(len(self.runs)) if self.parents[each] == parent]
            assert (message["siblings"], message["run_id"]) == (siblings, self.runs[number])
            assert message["parent_run_id"] == (START if parent < 0 else self.runs[parent])


@pytest.fixture
def trees(service_with_model: Service, model_server: FakeModelServer) -> Iterator[list[Tree]]:
    """A conversation of one id in each of two tenants, of which one has the samples and the other a document."""
    model_server.reset()
    keys = [service_with_model.new_key(tenant) for tenant in ("default", f"branching-{uuid4().hex[:8]}")]
    with service_with_model.client(keys[0]) as default, service_with_model.client(keys[1]) as other:
        dataset = other.post("/v1/tenant/datasets", json={"name": "Rooms"}).json()["id"]
        body = {"title": "Rooms", "content": "A dormitory room costs 850,000 rupiah a month."}
        settle(
            service_with_model, other, other.post(f"/v1/tenant/datasets/{dataset}/documents", json=body).json()["id"]
        )
        yield [Tree(default, "talk"), Tree(other, "talk")]
    model_server.reset()


def told(tree: Tree, model_server: FakeModelServer) -> list[int]:
    """The turns whose questions the model was told last, in order."""
    *_, last = (request["body"] for request in model_server.requests() if request["kind"] == "chat")
    texts = [message["content"] for message in last["messages"] if message["role"] == "user"]
    return [at for text in texts for at, question in enumerate(tree.questions) if question in text]


def test_a_question_asked_anew_stands_beside_the_former_one(
    service_with_model: Service, trees: list[Tree], model_server: FakeModelServer
) -> None:
    """In the state of the conversation, and in one that is made of what SQL has."""
    for tree in trees:
        tree.id = uuid4().hex
        for parent in (None, None, 0, -1, 1, 0):
            assert tree.ask(parent).status_code == 200
        for _ in ("from Redis", "from SQL"):
            tree.check()
            for at in range(len(tree.runs)):
                tree.check(at)
            service_with_model.wait_for(lambda tree=tree: _count(tree) == 2 * len(tree.runs))
            let_expire(service_with_model, *_STATES)
        assert tree.read().json()["persistence"] == "database"
        assert tree.ask(4).status_code == 200
        assert told(tree, model_server) == tree.path(6)
        for at in range(len(tree.runs)):
            tree.check(at)
    for tree, other in (trees, trees[::-1]):
        assert tree.read(branch=other.runs[0]).status_code == 404
        stolen = tree.client.post(
            "/v1/chat",
            json={"message": "Hello", "parent_run_id": other.runs[0]},
            headers={"X-Conversation-Id": tree.id},
        )
        assert stolen.status_code == 404
        tree.check()


def _count(tree: Tree) -> int:
    listed = tree.client.get("/v1/conversations").json()["conversations"]
    return next((one["message_count"] for one in listed if one["id"] == tree.id), 0)


def test_answers_of_all_branches_are_rated_and_forked(service_with_model: Service, trees: list[Tree]) -> None:
    for tree in trees:
        tree.id = uuid4().hex
        for parent in (None, None, 0):
            tree.ask(parent)
        service_with_model.wait_for(lambda tree=tree: _count(tree) == 6)
        for _ in ("from Redis", "from SQL"):
            for at, run_id in enumerate(tree.runs):
                path = f"/v1/conversations/{tree.id}/answers/{run_id}"
                rated = tree.client.put(f"{path}/rating", json={"rating": "up"})
                assert (rated.status_code, rated.json()["question"]) == (200, tree.questions[at])
            forked = tree.client.post(f"/v1/conversations/{tree.id}/answers/{tree.runs[1]}/fork", json={})
            copy = tree.client.get(f"/v1/conversations/{forked.json()['id']}").json()["messages"]
            asked = [message["content"] for message in copy if message["role"] == "user"]
            assert asked == [tree.questions[at] for at in (0, 1)]
            let_expire(service_with_model, *_STATES)


def test_a_fork_is_named_by_the_questions_that_it_has(service_with_model: Service, trees: list[Tree]) -> None:
    for tree in trees:
        tree.id = uuid4().hex
        tree.ask()
        tree.ask(-1)
        service_with_model.wait_for(lambda tree=tree: _count(tree) == 4)
        forked = tree.client.post(f"/v1/conversations/{tree.id}/answers/{tree.runs[1]}/fork", json={})
        assert forked.json()["title"] == f"{tree.questions[1]} (2)"


def test_so_many_versions_of_a_turn_and_no_more(trees: list[Tree]) -> None:
    tree = trees[0]
    tree.id = uuid4().hex
    for _ in range(MAX_SIBLINGS):
        assert tree.ask(-1).status_code == 200
    refused = tree.ask(-1)
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:pustaka:problem:conflict")
    assert (refused.json()["limit"], str(MAX_SIBLINGS) in refused.json()["detail"]) == (MAX_SIBLINGS, True)
    assert tree.ask(0).status_code == 200
    for wrong in ("no such", "a b", "", "x" * 129):
        assert tree.ask(None, parent_run_id=wrong).status_code == (404 if wrong == "no-such" else 400), wrong
    assert tree.ask(None, parent_run_id="no-such").status_code == 404
    tree.check()


def test_a_conversation_without_branches_is_read_in_parts(trees: list[Tree]) -> None:
    """What a question follows is told although that is not in the part."""
    tree = trees[0]
    tree.id = uuid4().hex
    for _ in range(4):
        tree.ask()
    part = tree.read(limit=3).json()["messages"]
    assert [(each["run_id"], each.get("parent_run_id")) for each in part] == [
        (tree.runs[2], None),
        (tree.runs[3], tree.runs[2]),
        (tree.runs[3], None),
    ]
    tree.ask(2)
    parts, address = [], f"/v1/conversations/{tree.id}?limit=3&branch={tree.runs[3]}"
    while address:
        page = tree.client.get(address).json()
        parts, address = [*page["messages"], *parts], page["next"]
    assert [each["run_id"] for each in parts] == [tree.runs[at] for at in tree.path(3) for _ in "qa"]


STEPS = st.lists(
    st.tuples(st.sampled_from(("ask", "ask", "anew", "follow", "expire")), st.integers(0, 10**6)),
    min_size=4,
    max_size=9,
)


@pytest.mark.first
@pytest.mark.long
def test_branches_are_a_tree(service_with_model: Service, trees: list[Tree], model_server: FakeModelServer) -> None:
    """Whatever is asked, wherever: each branch is shown, and told to the model, as a plain list of turns has it."""

    @settings(max_examples=count_examples(12))
    @given(STEPS, STEPS)
    def try_out(here: list[tuple[str, int]], there: list[tuple[str, int]]) -> None:
        for tree, asked in zip([Tree(each.client) for each in trees], (here, there), strict=True):
            for kind, number in asked:
                at = number % len(tree.runs) if tree.runs else None
                if kind == "expire":
                    service_with_model.wait_for(lambda tree=tree: not tree.runs or _count(tree) == 2 * len(tree.runs))
                    let_expire(service_with_model, *_STATES)
                    continue
                parent = {"ask": None, "anew": None if at is None else tree.parents[at], "follow": at}[kind]
                assert tree.ask(parent).status_code == 200
                path = tree.path(len(tree.runs) - 1)
                assert told(tree, model_server) == path[-10:]
                tree.check()
            for each in range(len(tree.runs)):
                tree.check(each)

    try_out()
