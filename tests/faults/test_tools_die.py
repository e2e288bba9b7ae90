"""A worker is killed around the call of a tool with a side effect: the turn ends on another, and it happens once.

`TOOL_KILLS` says how many workers are killed (9), one after another; CI takes the default.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from uuid import uuid4

import pytest

from tests.fakes.booking_server import BookingServer
from tests.faults.caller import Caller, Heard
from tests.faults.site import Site, site

pytestmark = pytest.mark.long

KILLS = int(os.environ.get("TOOL_KILLS", "9"))
CALL = {"room": 7, "day": "2026-12-24"}
QUESTION = "Please book room 7 for 2026-12-24."
ANSWER = "Room 7 is booked on 2026-12-24 [1]."
BOTS = "/v1/tenant/bots"


@dataclass(frozen=True)
class Scene:
    """A site whose default bot books rooms."""

    site: Site
    booking: BookingServer

    def prepare(self) -> None:
        """Everything in order; the model books, and then answers."""
        self.booking.answers.set()
        self.site.reset()
        self.site.model.configure(
            plans={"book": [[{"tool": "book_room", "arguments": CALL}], "ANSWER"]},
            replies={'tool="book_room"': ANSWER},
        )

    def wait_for_booking(self, before: int) -> None:
        self.site.service.wait_for(lambda: len(self.booking.effects) > before)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with BookingServer() as booking:
        variables = {"TOOL_MODULES": "tests.fakes.booking_tools", "BOOKING_URL": booking.url}
        with site(tmp_path_factory.mktemp("tools"), "--graceful-timeout", "3", **variables) as made:
            with made.client() as client:
                bot = {"id": "default", "name": "Default", "tools": ["book_room"]}
                assert client.post(BOTS, json=bot).status_code == 201
            yield Scene(made, booking)


def while_the_tool_works(scene: Scene, before: int) -> None:
    """The room is booked, and the worker does not know it yet."""
    scene.wait_for_booking(before)


def before_the_next_decision(scene: Scene, before: int) -> None:
    """The tool has answered, and the model is asked what comes next."""
    scene.wait_for_booking(before)
    _hang(scene, [{"kind": "hang", "model": "fake"}], "chat")


def in_the_answer(scene: Scene, before: int) -> None:
    """The first words of the answer have come."""
    scene.wait_for_booking(before)
    # The first of them is for the decision, which it does not change.
    _hang(scene, [{"kind": "stall", "after_tokens": 2, "times": 2, "model": "fake"}], "stream")


def _hang(scene: Scene, faults: list[dict[str, object]], kind: str) -> None:
    asked = scene.site.model.counters()[kind]
    scene.site.model.configure(faults=faults)
    scene.booking.answers.set()
    scene.site.service.wait_for(lambda: scene.site.model.counters()[kind] > asked)


MOMENTS: list[Callable[[Scene, int], None]] = [while_the_tool_works, before_the_next_decision, in_the_answer]


def kill_around_a_call(scene: Scene, moment: Callable[[Scene, int], None]) -> Heard:
    """One turn whose worker is killed at *moment*."""
    scene.prepare()
    scene.booking.answers.clear()
    before = len(scene.booking.effects)
    victim = scene.site.service.workers()[0]
    caller = Caller(scene.site, talk=uuid4().hex, question=QUESTION, at=victim)
    caller.start()
    moment(scene, before)
    scene.site.kill(victim)
    scene.site.model.configure(faults=[])
    scene.booking.answers.set()
    heard = caller.await_end()
    assert heard.breaks, "the connection went with its worker"
    return heard


@pytest.mark.soak
@pytest.mark.timeout(60 * KILLS)
def test_what_a_tool_does_comes_about_once_whenever_its_worker_is_killed(scene: Scene) -> None:
    repeated = 0
    for number in range(KILLS):
        heard = kill_around_a_call(scene, MOMENTS[number % len(MOMENTS)])
        end = heard.end
        assert end is not None
        assert (end["type"], end.get("answer")) == ("done", ANSWER), heard
        [call_id] = [call["call_id"] for call in end["tool_calls"]]
        assert call_id.startswith(f"{heard.run_id}-1-")
        keys = [key for key in scene.booking.effects if key.startswith(heard.run_id)]
        assert keys == [call_id], "another key would be another booking"
        repeated += scene.booking.tries[keys[0]] > 1
    assert set(scene.booking.effects.values()) == {1}
    assert len(scene.booking.effects) == KILLS
    assert repeated >= KILLS // len(MOMENTS), "where nobody knew what came of it, it was asked again with the same key"


def test_a_run_that_waits_is_resumed_on_another_worker(scene: Scene) -> None:
    scene.prepare()
    with scene.site.client() as client:
        client.patch(f"{BOTS}/default", json={"approvals": ["book_room"]})
    try:
        first, second = scene.site.service.workers()
        before = len(scene.booking.effects)
        with closing(scene.site.client_of(first)) as client:
            asked = client.post("/v1/chat", json={"message": QUESTION, "session_id": uuid4().hex})
        assert asked.status_code == 202, asked.text
        waiting = asked.json()
        scene.site.kill(first)  # it waits on no worker
        with closing(scene.site.client_of(second)) as client:
            body = {"call_id": waiting["waiting_for"]["call_id"], "decision": "approve"}
            assert client.post(f"/v1/runs/{waiting['id']}/resume", json=body).status_code == 202
            scene.site.service.wait_for(lambda: client.get(f"/v1/runs/{waiting['id']}").json()["status"] == "completed")
            assert client.get(f"/v1/runs/{waiting['id']}").json()["result"]["answer"] == ANSWER
        assert len(scene.booking.effects) == before + 1
    finally:
        with scene.site.client() as client:
            client.patch(f"{BOTS}/default", json={"approvals": None})


def test_an_approved_call_comes_about_once_when_its_worker_is_killed(scene: Scene) -> None:
    scene.prepare()
    with scene.site.client() as client:
        client.patch(f"{BOTS}/default", json={"approvals": ["book_room"]})
    try:
        victim, survivor = scene.site.service.workers()
        before = len(scene.booking.effects)
        with closing(scene.site.client_of(victim)) as client:
            waiting = client.post("/v1/chat", json={"message": QUESTION, "session_id": uuid4().hex}).json()
            scene.booking.answers.clear()
            body = {"call_id": waiting["waiting_for"]["call_id"], "decision": "approve"}
            assert client.post(f"/v1/runs/{waiting['id']}/resume", json=body).status_code == 202
        scene.wait_for_booking(before)
        scene.site.kill(victim)
        scene.booking.answers.set()
        with closing(scene.site.client_of(survivor)) as client:
            scene.site.service.wait_for(lambda: client.get(f"/v1/runs/{waiting['id']}").json()["status"] == "completed")
        assert scene.booking.effects[body["call_id"]] == 1
        assert scene.booking.tries[body["call_id"]] == 2
        assert len(scene.booking.effects) == before + 1
    finally:
        with scene.site.client() as client:
            client.patch(f"{BOTS}/default", json={"approvals": None})
