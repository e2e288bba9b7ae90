"""Tools of bots: used where they help, within limits, after approval where a bot says so, and never twice."""

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx
import openai
import pytest
from redis import Redis

from auth.operators import make_operator
from bootstrap.valkey import read_publication
from domain.db_opening import open_database
from domain.models import ApiKey
from domain.scoping import scoped_update
from tests.api.conftest import connect
from tests.api.test_runs import events_of, followed
from tests.conftest import FAKE_MODEL
from tests.fakes.booking_server import BookingServer
from tests.fakes.model_server import FakeModelServer
from tests.service import Service, ask, await_knowledge, await_vectors, one_document

BOTS = "/v1/tenant/bots"
ALL = ["book_room", "weather", "who_asks", "never", "huge", "broken", "exits", "cancels", "full"]
BOOK = [{"tool": "book_room", "arguments": {"room": 7, "day": "2026-12-24"}}]
BOOKED = "Room 7 is booked on 2026-12-24 [1]."
QUESTION = "Please book room 7 for 2026-12-24."


@pytest.fixture(scope="module")
def booking() -> Iterator[BookingServer]:
    with BookingServer() as server:
        yield server


@pytest.fixture(scope="module")
def service(
    tmp_path_factory: pytest.TempPathFactory, model_server: FakeModelServer, booking: BookingServer
) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("tools")
    variables = {
        **FAKE_MODEL,
        **one_document(folder),
        "LLM_BASE_URL": model_server.base_url,
        "TOOL_MODULES": "tests.fakes.booking_tools",
        "BOOKING_URL": booking.url,
        "TOOL_MAX_STEPS": "5",
        "TOP_K": "1",  # that quotes are chosen from; a language model is shown more
        "CACHE_ENABLED": "true",
        "RATE_LIMIT_ENABLED": "false",
    }
    with Service(folder / "data", **variables) as running:
        yield running


@pytest.fixture
def model(model_server: FakeModelServer) -> FakeModelServer:
    model_server.reset()
    model_server.configure(
        replies={'tool="book_room"': BOOKED, 'tool="weather"': "It is 31 degrees in Bandung now [1]."}
    )
    return model_server


@pytest.fixture(scope="module")
def bots(service: Service) -> None:
    """Of the default tenant: `helper` may use every tool, `careful` asks before it books."""
    with service.client() as client:
        add_bot(client, "helper", tools=ALL)
        add_bot(client, "careful", tools=ALL, approvals=["book_room"])


@pytest.fixture
def client(service: Service, bots: None) -> Iterator[httpx.Client]:
    with service.client() as opened:
        yield opened


@pytest.fixture
def globex(service: Service) -> Iterator[httpx.Client]:
    """A client of a tenant of its own, with a bot `helper`, and without documents."""
    with service.client(service.new_key(f"globex-{uuid4().hex[:8]}", ["all"])) as opened:
        add_bot(opened, "helper", tools=ALL)
        yield opened


def add_bot(client: httpx.Client, bot_id: str, **said: Any) -> None:
    made = client.post(BOTS, json={"id": bot_id, "name": bot_id.title(), **said})
    assert made.status_code == 201, made.text


def talk(client: httpx.Client, question: str, conversation: str = "", bot: str = "helper") -> dict[str, Any]:
    answer = ask(client, question, conversation or uuid4().hex, bot_id=bot)
    assert answer.status_code == 200, answer.text
    said: dict[str, Any] = answer.json()
    return said


def stream(client: httpx.Client, question: str, bot: str = "helper") -> list[dict[str, Any]]:
    body = {"message": question, "session_id": uuid4().hex, "bot_id": bot}
    with client.stream("POST", "/v1/chat/stream", json=body) as response:
        assert response.status_code == 200, response.read()
        return list(events_of(response))


def about_rooms() -> str:
    """A question that the documents answer, in new words: an answer is kept for those of before."""
    return f"How much does a dormitory room cost, {uuid4().hex[:6]}?"


def decisions(model: FakeModelServer) -> list[dict[str, Any]]:
    """The requests in which the model was asked to decide about tools."""
    asked = [request["body"] for request in model.requests() if request["kind"] == "chat"]
    return [body for body in asked if "You decide what an assistant" in body["messages"][0]["content"]]


def test_a_tool_is_called_and_its_result_cited_and_verified(client: httpx.Client, model: FakeModelServer) -> None:
    model.configure(plans={"weather": [[{"tool": "weather", "arguments": {"city": "Bandung"}}], "ANSWER"]})
    events = stream(client, "What is the weather in Bandung?")
    told = [event for event in events if event["type"] in ("tool_start", "tool_result")]
    assert [(event["type"], event["name"]) for event in told] == [("tool_start", "weather"), ("tool_result", "weather")]
    assert told[0]["call_id"] == told[1]["call_id"]
    assert (told[1]["ok"], told[1]["summary"]) == (True, "32 characters")
    said = events[-1]
    assert said["answer"] == "It is 31 degrees in Bandung now [1]."
    [citation] = said["citations"]
    assert (citation["source"], citation["quote"]) == ("tool:weather", "It is 31 degrees in Bandung now.")
    assert [each["status"] for each in said["support"]["sentences"]] == ["supported"]
    assert [(call["name"], call["status"]) for call in said["tool_calls"]] == [("weather", "done")]
    prompt = model.requests()[-1]["body"]["messages"][0]["content"]
    assert '<tool_result number="1" tool="weather">\nIt is 31 degrees in Bandung now.\n</tool_result>' in prompt


def test_what_a_tool_does_not_say_is_not_supported(client: httpx.Client, model: FakeModelServer) -> None:
    model.configure(
        plans={"weather": [[{"tool": "weather", "arguments": {"city": "Bandung"}}], "ANSWER"]},
        replies={'tool="weather"': "It is 13 degrees in Bandung now [1]."},
    )
    said = talk(client, "What is the weather in Bandung?")
    assert [each["status"] for each in said["support"]["sentences"]] == ["unsupported"]


def test_what_the_documents_answer_needs_no_tool(client: httpx.Client, model: FakeModelServer) -> None:
    said = talk(client, about_rooms())
    assert said["citations"][0]["source"] == "knowledge/rooms.md"
    assert said["tool_calls"] == []
    assert len(decisions(model)) == 1


def test_documents_are_searched_as_a_tool_beside_others(client: httpx.Client, model: FakeModelServer) -> None:
    search = [{"tool": "search_documents", "arguments": {"query": "How much does a dormitory room cost?"}}]
    model.configure(plans={"both": [search, [{"tool": "weather", "arguments": {"city": "London"}}], "ANSWER"]})
    said = talk(client, "I want both: the price of a dormitory room, and the weather in London.")
    assert [call["name"] for call in said["tool_calls"]] == ["search_documents", "weather"]
    prompt = model.requests()[-1]["body"]["messages"][0]["content"]
    assert '<passage number="1"' in prompt
    assert '<tool_result number="2" tool="weather">' in prompt


def test_small_talk_by_the_model_is_answered_without_a_search(client: httpx.Client, model: FakeModelServer) -> None:
    model.configure(plans={"cheer": ["TALK"]})
    said = talk(client, "Well, cheer up then, my dear machine of wonders!")
    assert said["small_talk"]
    assert said["citations"] == []


def test_a_model_that_refuses_tools_is_asked_in_json_and_says_so_once(
    service: Service, client: httpx.Client, model: FakeModelServer
) -> None:
    model.configure(
        refuses_tools=True, plans={"weather": [[{"tool": "weather", "arguments": {"city": "Bandung"}}], "ANSWER"]}
    )
    for number in range(2):
        said = talk(client, "What is the weather in Bandung?", f"json-{number}")
        assert said["citations"][0]["source"] == "tool:weather", said
    assert sum("tools" in body for body in decisions(model)) <= 1
    assert service.logged().count("refuses calls of tools") == 1


def test_wrong_arguments_go_back_once_and_then_the_turn_answers_without(
    client: httpx.Client, model: FakeModelServer
) -> None:
    wrong = [{"tool": "weather", "arguments": {"city": "Atlantis"}}]
    model.configure(plans={"dormitory": [wrong]})
    said = talk(client, "How much does a dormitory room cost in Atlantis?")
    assert said["answer"].startswith("The tool “weather” could not be used for this answer.\n\n")
    assert said["citations"][0]["source"] == "knowledge/rooms.md"
    assert [(call["name"], call["status"]) for call in said["tool_calls"]] == [("weather", "failed")]
    first, second, *_ = decisions(model)
    assert "Atlantis' is not one of" in json.dumps(second["messages"])
    assert "is not one of" not in json.dumps(first["messages"])


def test_arguments_that_are_put_right_are_used(client: httpx.Client, model: FakeModelServer) -> None:
    steps = [[{"tool": "weather", "arguments": "{no json"}], [{"tool": "weather", "arguments": {"city": "Bandung"}}]]
    model.configure(plans={"weather": [*steps, "ANSWER"]})
    said = talk(client, "What is the weather in Bandung?")
    assert [(call["name"], call["status"]) for call in said["tool_calls"]] == [("weather", "done")]
    assert "could not be used" not in said["answer"]


def test_a_tool_that_is_not_there_is_not_called(client: httpx.Client, model: FakeModelServer) -> None:
    model.configure(plans={"dormitory": [[{"tool": "delete_everything", "arguments": {}}]]})
    said = talk(client, about_rooms())
    assert "“delete_everything” could not be used" in said["answer"]
    assert said["answered"]


@pytest.mark.parametrize(
    ("tool", "summary"),
    [
        ("never", "It did not answer in time."),
        ("huge", "Its result has 10,400,000 characters, more than the limit of 20,000."),
        ("broken", "It failed."),
        ("exits", "It failed."),
        ("cancels", "It failed."),
    ],
)
def test_a_tool_that_hangs_floods_or_fails_leaves_the_answer_to_the_documents(
    client: httpx.Client, model: FakeModelServer, tool: str, summary: str
) -> None:
    model.configure(plans={"dormitory": [[{"tool": tool, "arguments": {}}], "ANSWER"]})
    events = stream(client, about_rooms())
    [result] = [event for event in events if event["type"] == "tool_result"]
    assert (result["ok"], result["summary"]) == (False, summary)
    said = events[-1]
    assert f"“{tool}” could not be used" in said["answer"]
    assert said["citations"][0]["source"] == "knowledge/rooms.md"
    assert "hunter2" not in json.dumps(events)


def test_the_reason_that_a_tool_gives_is_told_and_nothing_about_documents(
    client: httpx.Client, model: FakeModelServer
) -> None:
    model.configure(plans={"book": [[{"tool": "full", "arguments": {}}], "ANSWER"]}, replies={})
    said = talk(client, QUESTION)
    assert said["answer"] == "The tool “full” could not be used for this answer: Room 7 is taken on that day."


def test_a_loop_of_calls_ends_at_the_limit_and_says_so(client: httpx.Client, model: FakeModelServer) -> None:
    cities = ["Bandung", "Jakarta", "Madrid", "London"]
    steps: list[Any] = [[{"tool": "weather", "arguments": {"city": city}}] for city in cities]
    model.configure(plans={"everywhere": [*steps, *steps]})
    said = talk(client, "What is the weather everywhere?")
    assert [call["status"] for call in said["tool_calls"]] == ["done"] * 4
    assert "A limit of tools was reached: 5 decisions about tools were made." in said["degraded"]


def test_the_same_call_is_not_made_twice(client: httpx.Client, model: FakeModelServer, booking: BookingServer) -> None:
    again = [{"tool": "book_room", "arguments": {"day": "2026-12-24", "room": 7.0}}]
    model.configure(plans={"book": [BOOK, again, BOOK]})
    before = sum(booking.tries.values())
    said = talk(client, QUESTION)
    assert [call["status"] for call in said["tool_calls"]] == ["done"]
    assert sum(booking.tries.values()) == before + 1
    assert said["answer"] == BOOKED


def test_a_tool_gets_the_principal_of_its_tenant_and_nothing_of_another(
    client: httpx.Client, globex: httpx.Client, model: FakeModelServer
) -> None:
    search = [{"tool": "search_documents", "arguments": {"query": "How much does a dormitory room cost?"}}]
    model.configure(plans={"who": [[{"tool": "who_asks", "arguments": {}}], search, "ANSWER"]})
    told = {}
    for each in (client, globex):
        talk(each, "Please say who asks for the tenant default, and search its documents.", uuid4().hex)
        told[each] = model.requests()[-1]["body"]["messages"][0]["content"]
        tenant = each.get(f"{BOTS}/helper").json()["tenant_id"]
        assert f"The tenant is {tenant}, the subject" in told[each]
    assert "850,000" in told[client]
    assert "850,000" not in told[globex]


def test_a_tool_that_needs_a_scope_is_not_offered_without_it(
    service: Service, client: httpx.Client, model: FakeModelServer
) -> None:
    tenant = client.get(f"{BOTS}/helper").json()["tenant_id"]
    with service.client(service.new_key(tenant, ["chat:write"])) as limited:
        talk(limited, about_rooms(), "limited")
    told = json.dumps(decisions(model)[-1])  # as native tools, or in the prompt
    assert "weather" in told
    assert "who_asks" not in told


def test_a_call_waits_for_approval_and_goes_on_with_it(
    client: httpx.Client, model: FakeModelServer, booking: BookingServer
) -> None:
    model.configure(plans={"book": [BOOK, "ANSWER"]})
    before = sum(booking.effects.values())
    asked = ask(client, QUESTION, "approval", bot_id="careful")
    assert asked.status_code == 202, asked.text
    waiting = asked.json()
    call = waiting["waiting_for"]
    assert waiting["status"] == "waiting"
    assert (call["name"], call["arguments"]) == ("book_room", BOOK[0]["arguments"])
    run = asked.headers["Location"]
    assert client.get(run).json()["waiting_for"] == call
    assert sum(booking.effects.values()) == before
    view = client.get("/v1/conversations/approval", params={"bot_id": "careful"}).json()
    assert (view["waiting"], view["running"], view["run_id"]) == (True, False, waiting["id"])

    resumed = client.post(f"{run}/resume", json={"call_id": call["call_id"], "decision": "approve"})
    assert resumed.status_code == 202, resumed.text
    events = followed(client, waiting["id"])
    types = [event["type"] for event in events]
    assert types.index("approval") < types.index("tool_start") < types.index("done")
    assert "waiting" not in types, "that is over"
    assert events[-1]["answer"] == BOOKED
    assert sum(booking.effects.values()) == before + 1
    assert booking.tries[call["call_id"]] == 1
    again = client.post(f"{run}/resume", json={"call_id": call["call_id"], "decision": "approve"})
    assert again.status_code == 409
    view = client.get("/v1/conversations/approval", params={"bot_id": "careful"}).json()
    assert [message["role"] for message in view["messages"]] == ["user", "assistant"]
    assert not view["waiting"]


def test_clients_of_openai_are_told_that_a_call_waits(service: Service, model: FakeModelServer, bots: None) -> None:
    model.configure(plans={"book": [BOOK, "ANSWER"] * 4})
    asked: Any = {"model": "careful", "messages": [{"role": "user", "content": QUESTION}]}
    with connect(service, service.key) as client:
        said = client.responses.create(model="careful", input=QUESTION)
        assert (said.status, (said.model_extra or {})["waiting_for"]["name"]) == ("incomplete", "book_room")
        assert client.responses.retrieve(said.id).status == "incomplete"
        *_, last = client.responses.create(model="careful", input=QUESTION, stream=True)
        assert last.type == "response.incomplete"
        with pytest.raises(openai.ConflictError, match=r"/v1/runs/\w+, and approve it there") as refused:
            client.chat.completions.create(**asked)
        assert refused.value.response.headers["x-should-retry"] == "false"
        with pytest.raises(openai.APIError, match="waits for approval"):
            list(client.chat.completions.create(**asked, stream=True))


def test_a_rejected_call_is_not_made(client: httpx.Client, model: FakeModelServer, booking: BookingServer) -> None:
    model.configure(plans={"book": [BOOK, "ANSWER"]})
    before = sum(booking.tries.values())
    waiting = ask(client, QUESTION, "rejection", bot_id="careful").json()
    body = {"call_id": waiting["waiting_for"]["call_id"], "decision": "reject"}
    assert client.post(f"/v1/runs/{waiting['id']}/resume", json=body).status_code == 202
    said = followed(client, waiting["id"])[-1]
    assert said["answer"] == "You rejected “book_room”: it was not done."
    assert [call["status"] for call in said["tool_calls"]] == ["rejected"]
    assert sum(booking.tries.values()) == before


def decide(client: httpx.Client, waiting: dict[str, Any], decision: str) -> dict[str, Any]:
    """The last event of a run after a decision about the call that it waits with."""
    body = {"call_id": waiting["waiting_for"]["call_id"], "decision": decision}
    assert client.post(f"/v1/runs/{waiting['id']}/resume", json=body).status_code == 202
    return followed(client, waiting["id"])[-1]


@pytest.mark.parametrize(
    ("policy", "reply"),
    [
        ("mark", "NOT_IN_DOCUMENTS"),
        ("drop", "NOT_IN_DOCUMENTS"),
        ("drop", "Room 9 is booked on 2026-11-11 [1]."),
        ("refuse", "Room 9 is booked on 2026-11-11 [1]."),
    ],
)
def test_a_call_that_was_done_is_told_whatever_becomes_of_the_models_words(
    client: httpx.Client, model: FakeModelServer, policy: str, reply: str
) -> None:
    search = {"tool": "search_documents", "arguments": {"query": "How much does a dormitory room cost?"}}
    model.configure(plans={"book": [[search], BOOK, "ANSWER"]}, replies={'tool="book_room"': reply})
    bot_id = f"b-{uuid4().hex[:8]}"
    add_bot(client, bot_id, tools=ALL, approvals=["book_room"], unsupported_sentences=policy)
    said = decide(client, ask(client, QUESTION, uuid4().hex, bot_id=bot_id).json(), "approve")
    assert said["answered"]
    number = said["citations"][0]["number"]
    assert said["answer"] == f"“book_room” was done: Room 7 is booked on 2026-12-24 [{number}]."
    assert [(each["source"], each["quote"]) for each in said["citations"]] == [
        ("tool:book_room", "Room 7 is booked on 2026-12-24.")
    ]


def test_a_call_that_was_done_is_told_behind_an_answer_that_does_not(
    client: httpx.Client, model: FakeModelServer
) -> None:
    wrong = "Room 9 is booked on 2026-11-11 [1]."
    model.configure(plans={"book": [BOOK, "ANSWER"]}, replies={'tool="book_room"': wrong})
    events = stream(client, QUESTION)
    said = events[-1]
    assert said["answer"] == f"{wrong}\n\n“book_room” was done: Room 7 is booked on 2026-12-24 [1]."
    assert "".join(event["content"] for event in events if event["type"] == "token") == said["answer"]
    assert [each["number"] for each in said["citations"]] == [1]


def test_of_two_calls_of_a_tool_the_one_that_was_rejected_is_named(
    client: httpx.Client, model: FakeModelServer, booking: BookingServer
) -> None:
    second = [{"tool": "book_room", "arguments": {"room": 8, "day": "2026-12-24"}}]
    model.configure(plans={"book": [BOOK, second, "ANSWER"]})
    before = sum(booking.effects.values())
    waiting = ask(client, QUESTION, uuid4().hex, bot_id="careful").json()
    asked = decide(client, waiting, "approve")
    assert asked["call"]["arguments"]["room"] == 8
    said = decide(client, {**waiting, "waiting_for": asked["call"]}, "reject")
    assert said["answer"] == f"You rejected “book_room (room: 8, day: 2026-12-24)”: it was not done.\n\n{BOOKED}"
    assert sum(booking.effects.values()) == before + 1
    prompt = model.requests()[-1]["body"]["messages"][0]["content"]
    assert "Calls of these tools did not work: book_room. Say only of what a tool_result" in prompt


@pytest.mark.parametrize(
    ("also", "quoted"), [([], "what tools said"), (["search"], "the documents and from what tools said")]
)
def test_a_model_that_fails_is_told_with_what_is_quoted(
    client: httpx.Client, model: FakeModelServer, also: list[str], quoted: str
) -> None:
    search = [{"tool": "search_documents", "arguments": {"query": "How much does a dormitory room cost?"}}]
    model.configure(plans={"book": [*[search for _ in also], BOOK, "ANSWER"]}, replies={'tool="book_room"': ""})
    said = talk(client, QUESTION)
    assert said["degraded"] == f"The language model is not available. These are quotes from {quoted}."
    assert "Room 7 is booked on 2026-12-24" in said["answer"]


def test_the_headings_of_a_refusal_are_of_documents(client: httpx.Client, model: FakeModelServer) -> None:
    model.configure(
        plans={"weather": [[{"tool": "weather", "arguments": {"city": "Bandung"}}], "ANSWER"]},
        replies={'tool="weather"': "NOT_IN_DOCUMENTS"},
    )
    said = talk(client, "What is the weather in Bandung?")
    assert (said["answered"], "not in the documents" in said["answer"]) == (False, True)
    assert "weather" not in said["answer"]


def test_only_who_asked_may_approve(service: Service, client: httpx.Client, model: FakeModelServer) -> None:
    model.configure(plans={"book": [BOOK, "ANSWER"]})
    tenant = client.get(f"{BOTS}/careful").json()["tenant_id"]
    waiting = ask(client, QUESTION, "whose", bot_id="careful").json()
    run = f"/v1/runs/{waiting['id']}/resume"
    body = {"call_id": waiting["waiting_for"]["call_id"], "decision": "approve"}
    for key, status in ((service.new_key(tenant, ["all"]), 403), (service.new_key("other", ["all"]), 404)):
        with service.client(key) as other:
            assert other.post(run, json=body).status_code == status
    for wrong in ({**body, "decision": "maybe"}, {"decision": "approve"}, {**body, "call_id": ""}, {**body, "x": 1}):
        assert client.post(run, json=wrong).status_code == 400
    refused = client.post(run, json={**body, "call_id": "another"})
    assert (refused.status_code, refused.json()["detail"]) == (
        409,
        "This run does not wait for a decision about the call 'another'. Read the run again.",
    )
    assert client.get(f"/v1/runs/{waiting['id']}").json()["status"] == "waiting"


@pytest.mark.parametrize("change", [{"enabled": False}, {"tools": ["weather"]}, None])
def test_what_was_taken_from_a_bot_cannot_be_approved_any_more(
    client: httpx.Client, model: FakeModelServer, booking: BookingServer, change: dict[str, Any] | None
) -> None:
    model.configure(plans={"book": [BOOK, "ANSWER"]})
    before, bot_id = sum(booking.tries.values()), f"b-{uuid4().hex[:8]}"
    add_bot(client, bot_id, tools=ALL, approvals=["book_room", "weather"])
    waiting = ask(client, QUESTION, "taken", bot_id=bot_id).json()
    if change is None:
        assert client.delete(f"{BOTS}/{bot_id}").status_code == 204
    else:
        changed = client.patch(f"{BOTS}/{bot_id}", json=change)
        assert (changed.status_code, "book_room" in changed.json()["approvals"]) == (200, "tools" not in change)
    body = {"call_id": waiting["waiting_for"]["call_id"], "decision": "approve"}
    refused = client.post(f"/v1/runs/{waiting['id']}/resume", json=body)
    assert refused.status_code == (404 if change is None else 409), refused.text
    assert refused.json().get("bot_id") == (bot_id if change == {"enabled": False} else None)
    rejected = client.post(f"/v1/runs/{waiting['id']}/resume", json={**body, "decision": "reject"})
    assert rejected.status_code == 202
    assert followed(client, waiting["id"])[-1]["type"] == "done"
    assert sum(booking.tries.values()) == before


@pytest.mark.parametrize("amount", ["NaN", "18446744073709551616", '"\\ud800"', "[" * 80 + "]" * 80, '1, "amount": 2'])
def test_arguments_that_cannot_be_stored_are_wrong_in_decisions_in_json_too(
    client: httpx.Client, model: FakeModelServer, amount: str
) -> None:
    add_bot(client, bot_id := f"b-{uuid4().hex[:8]}", tools=["full"], approvals=["full"])
    decision = f'{{"tool": "full", "arguments": {{"amount": {amount}}}}}'
    model.configure(refuses_tools=True, plans={"pay": [decision, decision, "ANSWER"]})
    said = talk(client, "Please pay.", bot=bot_id)
    assert [call["status"] for call in said["tool_calls"]] == ["failed"]


def test_a_waiting_run_can_be_cancelled_and_its_conversation_goes_on(
    client: httpx.Client, model: FakeModelServer
) -> None:
    model.configure(plans={"book": [BOOK, "ANSWER"]})
    waiting = ask(client, QUESTION, "cancelled", bot_id="careful").json()
    client.post(f"/v1/runs/{waiting['id']}/cancel")
    assert client.get(f"/v1/runs/{waiting['id']}").json()["status"] == "cancelled"
    body = {"call_id": waiting["waiting_for"]["call_id"], "decision": "approve"}
    assert client.post(f"/v1/runs/{waiting['id']}/resume", json=body).status_code == 409


def test_a_conversation_that_has_gone_on_does_not_take_the_approval_of_before(
    client: httpx.Client, model: FakeModelServer, booking: BookingServer
) -> None:
    model.configure(plans={"book": [BOOK, "ANSWER"]})
    before = sum(booking.tries.values())
    waiting = ask(client, QUESTION, "on", bot_id="careful").json()
    assert talk(client, about_rooms(), "on", "careful")["answer"]
    body = {"call_id": waiting["waiting_for"]["call_id"], "decision": "approve"}
    assert client.post(f"/v1/runs/{waiting['id']}/resume", json=body).status_code == 202
    last = followed(client, waiting["id"])[-1]
    assert last["type"] == "error"
    assert last["problem"]["detail"] == "The conversation has gone on since this was asked. Ask again."
    assert sum(booking.tries.values()) == before


def test_many_that_wait_hold_no_place(service: Service, client: httpx.Client, model: FakeModelServer) -> None:
    model.configure(plans={"book": [BOOK, "ANSWER"]})
    waiting = [ask(client, QUESTION, f"many-{number}", bot_id="careful").json() for number in range(6)]
    health = client.get("/health?verbose").json()
    assert health["admission"]["turn_count"] == 0, health["admission"]
    bodies = [{"call_id": run["waiting_for"]["call_id"], "decision": "approve"} for run in waiting]
    threads = [
        threading.Thread(target=client.post, args=(f"/v1/runs/{run['id']}/resume",), kwargs={"json": body})
        for run, body in zip(waiting, bodies, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(followed(client, run["id"])[-1]["answer"] == BOOKED for run in waiting)


@pytest.fixture
def redis(service: Service) -> Iterator[Redis]:
    published = read_publication(service.data_dir)
    assert published is not None
    with Redis(unix_socket_path=published.socket) as opened:
        yield opened


@dataclass
class Race:
    """A conversation that is deleted while a question of it, or an approval, is accepted; a room is booked by it."""

    client: httpx.Client
    room: int
    resumes: bool
    id: str = field(default_factory=lambda: uuid4().hex)
    waiting: dict[str, Any] = field(default_factory=dict)

    @property
    def question(self) -> str:
        return f"Please book room {self.room}."

    @property
    def query(self) -> dict[str, str]:
        return {"bot_id": "careful" if self.resumes else "helper"}

    def begin(self) -> None:
        if self.resumes:
            asked = ask(self.client, self.question, self.id, **self.query)
            assert asked.status_code == 202, asked.text
            self.waiting = asked.json()
        else:
            talk(self.client, "Well, cheer up then, my dear machine!", self.id)

    def delete(self) -> int:
        path = f"/v1/conversations/{self.id}"
        return self.client.delete(path, params={**self.query, "permanent": "true"}).status_code

    def go_on(self) -> int:
        if not self.resumes:
            return ask(self.client, self.question, self.id, **self.query).status_code
        body = {"call_id": self.waiting["waiting_for"]["call_id"], "decision": "approve"}
        return self.client.post(f"/v1/runs/{self.waiting['id']}/resume", json=body).status_code

    def is_over(self) -> bool:
        return not self.resumes or self.client.get(f"/v1/runs/{self.waiting['id']}").status_code == 404

    def is_readable(self) -> bool:
        return self.client.get(f"/v1/conversations/{self.id}", params=self.query).status_code == 200

    def is_listed(self) -> bool:
        found = self.client.get("/v1/conversations", params=self.query).json()["conversations"]
        return self.id in [one["id"] for one in found]

    def count_bookings(self, booking: BookingServer) -> int:
        return sum(body["room"] == self.room for body in booking.bodies)


def begin_races(clients: list[httpx.Client], model: FakeModelServer, booking: BookingServer, count: int) -> list[Race]:
    """So many for each client, half of them with approvals."""
    add_bot(clients[1], "careful", tools=ALL, approvals=["book_room"])
    kinds = [(client, bool(number % 2)) for number in range(count) for client in clients]
    races = [Race(client, 40 + number, resumes) for number, (client, resumes) in enumerate(kinds)]
    calls = {
        race.question: [{"tool": "book_room", "arguments": {**BOOK[0]["arguments"], "room": race.room}}]
        for race in races
    }
    model.configure(plans={"cheer": ["TALK"], **{question: [call, "ANSWER"] for question, call in calls.items()}})
    booking.bodies.clear()
    for race in races:
        race.begin()
    return races


def test_a_run_whose_conversation_is_deleted_before_it_holds_it_does_nothing(
    service: Service,
    client: httpx.Client,
    globex: httpx.Client,
    model: FakeModelServer,
    booking: BookingServer,
    redis: Redis,
) -> None:
    races = begin_races([client, globex], model, booking, 2)
    states = [next(redis.scan_iter(f"state:*{race.id}*", count=1000)).decode() for race in races]
    leases = [f"lease:{state.removeprefix('state:')}" for state in states]
    for lease in leases:
        redis.hset(lease, mapping={"token": "another's", "run": "", "until": 2**52})
    with ThreadPoolExecutor(2 * len(races)) as pool:
        with redis.monitor() as monitor:
            deletions = [pool.submit(race.delete) for race in races]
            waited_for, commands = set[str](), monitor.listen()
            while waited_for < set(leases):
                command = next(commands)["command"]
                waited_for |= {lease for lease in leases if lease in command}
        runs = [pool.submit(race.go_on) for race in races]
        # Of those with an approval the run is there since it was asked.
        service.wait_for(
            lambda: all(
                runs[at].done() if race.resumes else count_runs(redis, race) == 2 for at, race in enumerate(races)
            )
        )
        redis.delete(*leases)
        assert [deletion.result() for deletion in deletions] == [204] * len(races)
        assert [run.result() for run in runs] == [202 if race.resumes else 409 for race in races]
    service.wait_for(lambda: all(race.is_over() for race in races))
    assert booking.bodies == []
    assert not any(race.is_readable() or race.is_listed() for race in races)
    left = {name.split(b"{")[0] for race in races for name in redis.scan_iter(f"*{race.id}*", count=1000)}
    assert left == {b"lease:", b"runs:deleted:"}  # so that none that stalled writes into it


def count_runs(redis: Redis, race: Race) -> int:
    return sum(redis.scard(name) for name in redis.scan_iter(f"runs:*:of:*{race.id}", count=1000))


@pytest.mark.long
def test_after_a_deletion_no_run_of_before_does_anything(
    service: Service, client: httpx.Client, globex: httpx.Client, model: FakeModelServer, booking: BookingServer
) -> None:
    races = begin_races([client, globex], model, booking, 10)
    start = threading.Barrier(2 * len(races))

    def delete(race: Race) -> tuple[int, int]:
        start.wait(30)
        return race.delete(), race.count_bookings(booking)

    def go_on(race: Race) -> int:
        start.wait(30)
        return race.go_on()

    with ThreadPoolExecutor(2 * len(races)) as pool:
        deletions, runs = [[pool.submit(work, race) for race in races] for work in (delete, go_on)]
    service.wait_for(lambda: all(race.is_over() for race in races))
    for race, deletion, run in zip(races, deletions, runs, strict=True):
        status, booked = deletion.result()
        assert status == 204
        if race.is_readable():  # it was asked after that, and is a conversation of its own
            assert (race.resumes, run.result()) == (False, 200)
            service.wait_for(race.is_listed)
        else:
            assert race.count_bookings(booking) == booked, (race, run.result())
            assert not race.is_listed()


def test_bots_name_tools_that_are_there(service: Service, client: httpx.Client) -> None:
    refused = client.post(BOTS, json={"id": "odd", "name": "Odd", "tools": ["fly"]})
    assert refused.status_code == 400
    assert refused.json()["detail"].startswith("There is no tool 'fly'. There are: book_room, ")
    refused = client.post(BOTS, json={"id": "odd", "name": "Odd", "tools": ["weather"], "approvals": ["book_room"]})
    assert refused.status_code == 400
    assert refused.json()["errors"][0]["field"] == "approvals"
    for wrong in (["A"], [""], "weather", [5], ["weather"] * 33):
        assert client.post(BOTS, json={"id": "odd", "name": "Odd", "tools": wrong}).status_code == 400, wrong
    made = service.flask("bot", "create", "cli", "--name", "Cli", "--tool", "weather", "--approve", "weather")
    assert made.returncode == 0, made.stderr
    unknown = service.flask("bot", "create", "odd", "--name", "Odd", "--tool", "fly")
    assert unknown.returncode == 1
    assert "There is no tool 'fly'" in unknown.stderr


def test_whoever_writes_bots_sees_which_tools_they_may_name(
    service: Service, client: httpx.Client, globex: httpx.Client
) -> None:
    tools: dict[str, Any] = {}
    for caller in (client, globex):
        first = caller.get("/v1/tenant/tools", params={"limit": 6}).json()
        rest = caller.get(first["next"]).json()
        assert (first["total"], rest["total"], rest["offset"], rest["next"]) == (12, 12, 6, None)
        tools = {tool["name"]: tool for tool in first["available_tools"] + rest["available_tools"]}
        assert list(tools) == sorted([*ALL, "draw_chart", "query_data", "search_documents"])
    booking = tools["book_room"]
    assert (booking["has_side_effects"], booking["scopes"]) == (True, [])
    assert booking["parameters"]["required"] == ["room", "day"]
    assert (tools["who_asks"]["has_side_effects"], tools["who_asks"]["scopes"]) == (False, ["documents:read"])
    with service.client(service.new_key("default", ["bots:read"])) as reader:
        assert reader.get("/v1/tenant/tools").status_code == 403


def change_scopes(service: Service, key: str, scopes: list[str]) -> None:
    database = open_database(f"sqlite:///{service.data_dir / 'pustaka.db'}")
    try:
        with database.open_write_session() as session:
            session.execute(
                scoped_update(make_operator("default"), ApiKey).where(ApiKey.key_id == key[8:16]).values(scopes=scopes)
            )
    finally:
        database.close()


def test_a_scope_that_is_taken_away_in_the_midst_of_a_turn_ends_the_use_of_its_tool(
    service: Service, client: httpx.Client, model: FakeModelServer, booking: BookingServer
) -> None:
    key = service.new_key("default", ["chat:write", "documents:read", "conversations:read"])
    model.configure(plans={"book": [BOOK, [{"tool": "who_asks", "arguments": {}}], "ANSWER"]})
    booking.answers.clear()
    before = len(booking.effects)
    with service.client(key) as asking, ThreadPoolExecutor(1) as thread:
        answer = thread.submit(talk, asking, QUESTION)
        service.wait_for(lambda: len(booking.effects) > before)
        change_scopes(service, key, ["chat:write", "conversations:read"])
        booking.answers.set()
        said = answer.result()
    assert [(call["name"], call["status"]) for call in said["tool_calls"]] == [
        ("book_room", "done"),
        ("who_asks", "failed"),
    ]
    told = "The key that asked for this no longer has the scope documents:read, so the work was stopped."
    assert f"The tool “who_asks” could not be used for this answer: {told}" in said["answer"]


def test_a_scope_that_is_taken_away_while_a_call_waits_ends_it(
    service: Service, client: httpx.Client, model: FakeModelServer
) -> None:
    key = service.new_key("default", ["chat:write", "documents:read", "conversations:read"])
    add_bot(client, "asks-who", tools=["who_asks"], approvals=["who_asks"])
    model.configure(plans={"who": [[{"tool": "who_asks", "arguments": {}}], "ANSWER"]})
    with service.client(key) as asking:
        waiting = ask(asking, "Say who asks.", uuid4().hex, bot_id="asks-who").json()
        change_scopes(service, key, ["chat:write", "conversations:read"])
        body = {"call_id": waiting["waiting_for"]["call_id"], "decision": "approve"}
        assert asking.post(f"/v1/runs/{waiting['id']}/resume", json=body).status_code == 202
        said = followed(asking, waiting["id"])[-1]
        assert [(call["name"], call["status"]) for call in said["tool_calls"]] == [("who_asks", "failed")]
        told = "You may no longer use it: the key that asked for this no longer has the scope documents:read."
        assert f"The tool “who_asks” could not be used for this answer: {told}" in said["answer"]


@pytest.fixture(scope="module")
def offline(tmp_path_factory: pytest.TempPathFactory, booking: BookingServer) -> Iterator[httpx.Client]:
    """A client of a service without a language model."""
    folder = tmp_path_factory.mktemp("offline")
    variables = {"TOOL_MODULES": "tests.fakes.booking_tools", "BOOKING_URL": booking.url, "RATE_LIMIT_ENABLED": "false"}
    with Service(folder / "data", **variables, **one_document(folder)) as running, running.client() as client:
        await_knowledge(running, "How much does a dormitory room cost?")
        add_bot(client, "helper", tools=ALL)
        add_bot(client, "careful", tools=ALL, approvals=["book_room"])
        yield client


def test_without_a_language_model_rules_choose_a_tool(offline: httpx.Client) -> None:
    said = talk(offline, "What is the weather in Bandung?")
    assert said["answer"] == "It is 31 degrees in Bandung now. [1]"
    assert said["citations"][0]["source"] == "tool:weather"
    assert not said["language_model"]
    said = talk(offline, "How much does a dormitory room cost?")
    assert said["citations"][0]["source"] == "knowledge/rooms.md"
    assert said["tool_calls"] == []
    assert talk(offline, "What is the weather like?")["tool_calls"] == [], "no city was said"


def test_without_a_language_model_nothing_is_changed_unless_the_person_approves(
    offline: httpx.Client, booking: BookingServer
) -> None:
    before = len(booking.effects)
    assert talk(offline, "Book meeting room 7 for 2026-12-24.")["tool_calls"] == []
    waiting = ask(offline, "Book meeting room 7 for 2026-12-24.", "offline", bot_id="careful")
    assert waiting.status_code == 202, waiting.text
    assert waiting.json()["waiting_for"]["arguments"] == {"room": 7, "day": "2026-12-24"}
    assert len(booking.effects) == before
    body = {"call_id": waiting.json()["waiting_for"]["call_id"], "decision": "approve"}
    offline.post(f"/v1/runs/{waiting.json()['id']}/resume", json=body)
    said = followed(offline, waiting.json()["id"])[-1]
    assert said["answer"] == "Room 7 is booked on 2026-12-24. [1]"
    assert len(booking.effects) == before + 1


def test_while_the_language_model_is_away_rules_decide(
    service: Service, client: httpx.Client, globex: httpx.Client, model: FakeModelServer
) -> None:
    model.configure(faults=[{"kind": "status", "status": 401, "times": -1}])
    nothing = talk(globex, "Please book a room.")
    assert (nothing["answered"], nothing["fallback_reason"]) == (False, "model-unavailable")
    said = talk(client, "What is the weather in Bandung?")
    assert said["fallback_reason"] == "model-unavailable"
    assert [(call["name"], call["status"]) for call in said["tool_calls"]] == [("weather", "done")]
    assert said["answer"] == "It is 31 degrees in Bandung now. [1]"


def test_while_the_language_model_is_away_quotes_are_of_as_few_passages_as_without_one(
    service: Service, client: httpx.Client, model: FakeModelServer
) -> None:
    dataset = client.post("/v1/tenant/datasets", json={"name": "Keys"}).json()["id"]
    texts = {"Price": "A key of the shed costs 20,000 rupiah.", "Length": "A key of the shed is 9 cm long."}
    for title, text in texts.items():
        added = client.post(f"/v1/tenant/datasets/{dataset}/documents", json={"title": title, "content": text})
        assert added.status_code == 202, added.text
    add_bot(client, "keys", tools=ALL, dataset_ids=[dataset])
    service.wait_for(lambda: len(client.post("/v1/search", json={"query": "key of the shed"}).json()["passages"]) == 3)
    await_vectors(service)
    model.configure(faults=[{"kind": "status", "status": 401, "times": -1}])
    said = talk(client, "Key of the shed?", bot="keys")
    assert said["fallback_reason"] == "model-unavailable"
    assert [citation["number"] for citation in said["citations"]] == [1]


def test_calls_that_one_tenant_asked_to_be_too_long_are_refused_and_keep_the_model_from_nobody(
    client: httpx.Client, globex: httpx.Client, model: FakeModelServer
) -> None:
    huge = [{"tool": "weather", "arguments": json.dumps({"city": "x" * 100_001})}]
    model.configure(plans={"far": [huge, huge], "Bandung": [[{"tool": "weather", "arguments": {"city": "Bandung"}}]]})
    for _ in range(3):
        refused = talk(client, "What is the weather far away?")
        assert [(call["name"], call["status"]) for call in refused["tool_calls"]] == [("weather", "failed")]
    said = talk(globex, "What is the weather in Bandung?")
    assert (said["language_model"], said["fallback_reason"], said["answer"]) == (
        True,
        None,
        "It is 31 degrees in Bandung now [1].",
    )
