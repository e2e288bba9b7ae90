"""A worker is killed at each stage of a turn: another one brings the turn to its end, and it happens once."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from uuid import uuid4

import pytest

from tests.faults.caller import Caller, Heard
from tests.faults.site import QUESTION, Site, site
from tests.service import ask

pytestmark = [pytest.mark.long, pytest.mark.soak]

SECOND = "And with a bath?"
Reached = Callable[[], bool]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site; a test leaves it as it likes."""
    with site(tmp_path_factory.mktemp("workers"), "--graceful-timeout", "3") as made:
        yield made


@pytest.fixture
def whole(running: Site) -> Site:
    """The same, with everything in order."""
    running.reset()
    return running


def in_retrieval(site: Site, talk: str) -> Reached:
    return _at_model(site, kind="embeddings", fault={"kind": "hang", "model": "fake-embedding"})


def in_retrieval_of_a_follow_up(site: Site, talk: str) -> Reached:
    with site.client() as client:
        assert ask(client, QUESTION, talk).status_code == 200
    return in_retrieval(site, talk)


def before_the_first_token(site: Site, talk: str) -> Reached:
    return _at_model(site, kind="stream", fault={"kind": "hang", "model": "fake"})


def before_the_answer_is_kept(site: Site, talk: str) -> Reached:
    return site.redis_way.hold(rb"EVALSHA.*lease:\{checkpoint:" + talk.encode()).is_set


def before_the_end_is_told(site: Site, talk: str) -> Reached:
    return site.redis_way.hold(rb'"type":"done"').is_set


def _at_model(site: Site, *, kind: str, fault: dict[str, object]) -> Reached:
    site.model.configure(faults=[fault])
    before = site.model.counters()[kind]
    return lambda: site.model.counters()[kind] > before


def told(site: Site, talk: str) -> list[tuple[str, str]]:
    """The conversation as it is kept."""
    with site.client() as client:
        messages = client.get(f"/v1/conversations/{talk}").json()["messages"]
    return [(message["role"], message["content"]) for message in messages]


def assert_kept_once(site: Site, talk: str, heard: Heard, *, before: int = 0) -> None:
    """After *before* messages the conversation has the question and the answer that was heard, and nothing twice."""
    end = heard.end
    assert end is not None
    assert end["type"] == "done", heard
    assert heard.text() == end["answer"]
    kept = told(site, talk)
    assert kept[-2:] == [("user", QUESTION), ("assistant", end["answer"])]
    assert [role for role, _ in kept] == ["user", "assistant"] * (len(kept) // 2)
    assert len(kept) == before + 2


def assert_every_worker_tells_the_same(site: Site, heard: Heard) -> None:
    """Both give the run's result, and its events again from every place on."""
    for worker in site.service.workers():
        with closing(site.client_of(worker)) as client:
            shown = client.get(f"/v1/runs/{heard.run_id}").json()
            assert shown["status"] == "completed"
            assert shown["result"]["answer"] == heard.events[-1][1]["answer"]
            for number in {0, heard.events[0][0], heard.events[-2][0], heard.events[-1][0]}:
                after = {"Last-Event-ID": f"{heard.run_id}-{number}"} if number else {}
                lines = client.get(f"/v1/runs/{heard.run_id}/events", headers=after).text.splitlines()
                ids = [int(line.rpartition("-")[2]) for line in lines if line.startswith("id: ")]
                assert ids == sorted(set(ids))
                assert ids[-1:] == ([] if number == heard.events[-1][0] else [heard.events[-1][0]])


@pytest.mark.parametrize(
    "stage",
    [
        in_retrieval,
        in_retrieval_of_a_follow_up,
        before_the_first_token,
        before_the_answer_is_kept,
        before_the_end_is_told,
    ],
)
def test_a_turn_whose_worker_is_killed_is_brought_to_its_end_once(
    whole: Site, stage: Callable[[Site, str], Reached]
) -> None:
    talk = uuid4().hex
    reached = stage(whole, talk)
    victim = whole.service.workers()[0]
    caller = Caller(whole, talk=talk, at=victim)
    caller.start()
    whole.service.wait_for(reached)
    whole.kill(victim)
    whole.redis_way.thaw()  # what the dead one has sent may arrive yet: it is the same as if it had lived a moment more
    heard = caller.await_end()
    assert heard.breaks, "the connection went with its worker"
    assert_kept_once(whole, talk, heard, before=2 if stage is in_retrieval_of_a_follow_up else 0)
    assert_every_worker_tells_the_same(whole, heard)


@pytest.mark.smoke
def test_a_stream_whose_worker_is_killed_in_mid_sentence_begins_the_answer_anew(whole: Site) -> None:
    talk = uuid4().hex
    whole.model.configure(faults=[{"kind": "stall", "after_tokens": 5, "model": "fake"}])
    victim = whole.service.workers()[0]
    caller = Caller(whole, talk=talk, at=victim)
    caller.start()
    whole.service.wait_for(lambda: "token" in caller.heard.types())
    whole.kill(victim)
    heard = caller.await_end()
    assert heard.types().count("resumed") == 1
    assert_kept_once(whole, talk, heard)
    assert_every_worker_tells_the_same(whole, heard)


def test_a_turn_that_waits_for_another_when_its_worker_is_killed_still_has_its_turn(whole: Site) -> None:
    talk = uuid4().hex
    whole.model.configure(first_token_ms=2500)
    survivor, victim = whole.service.workers()
    first, second = Caller(whole, talk=talk, at=survivor), Caller(whole, talk=talk, question=SECOND, at=victim)
    first.start()
    whole.service.wait_for(lambda: whole.model.counters()["stream"] == 1)
    second.start()
    whole.service.wait_for(partial(_are_under_way, whole, 2))
    whole.kill(victim)
    whole.model.configure(first_token_ms=0)
    answers = [caller.await_end().events[-1][1]["answer"] for caller in (first, second)]
    said = [QUESTION, answers[0], SECOND, answers[1]]
    assert [text for _, text in told(whole, talk)] == said


def _are_under_way(site: Site, runs: int) -> bool:
    """Whether so many runs are under way."""
    return sum(site.redis.client.zcard(key) for key in site.redis.client.scan_iter("runs:{*}:active")) == runs


def test_a_worker_that_stalls_longer_than_its_lease_does_not_speak_for_the_run_any_more(whole: Site) -> None:
    talk = uuid4().hex
    whole.model.configure(gap_ms=60, tokens=40)
    stalled = whole.service.workers()[0]
    caller = Caller(whole, talk=talk, at=stalled)
    caller.start()
    whole.service.wait_for(lambda: "token" in caller.heard.types())
    os.kill(stalled, signal.SIGSTOP)
    taken_over = partial(_is_at_attempt, whole, caller, "2")
    whole.service.wait_for(taken_over)
    os.kill(stalled, signal.SIGCONT)
    heard = caller.await_end()
    assert heard.types().count("resumed") == 1
    assert_kept_once(whole, talk, heard)
    assert_every_worker_tells_the_same(whole, heard)


def _is_at_attempt(site: Site, caller: Caller, attempt: str) -> bool:
    keys = site.redis.client.scan_iter(f"run:{{*}}:{caller.heard.run_id}")
    return any(site.redis.client.hget(key, "attempts") == attempt.encode() for key in keys)


def test_a_worker_that_must_stop_leaves_what_takes_too_long_to_the_other(whole: Site) -> None:
    talk = uuid4().hex
    whole.model.configure(faults=[{"kind": "stall", "after_tokens": 5, "model": "fake"}])
    leaving = whole.service.workers()[0]
    caller = Caller(whole, talk=talk, at=leaving)
    caller.start()
    whole.service.wait_for(lambda: "token" in caller.heard.types())
    os.kill(leaving, signal.SIGTERM)
    heard = caller.await_end()
    assert heard.types().count("resumed") == 1
    assert_kept_once(whole, talk, heard)
    whole.service.wait_for(lambda: leaving not in whole.service.workers())  # it takes no connections any more


def test_a_little_load_survives_a_kill(whole: Site) -> None:
    whole.model.configure(gap_ms=20, tokens=30)
    callers = [Caller(whole) for _ in range(12)]
    for caller in callers:
        caller.start()
    whole.service.wait_for(lambda: sum("token" in caller.heard.types() for caller in callers) > 6)
    victim = whole.service.workers()[0]
    threading.Thread(target=partial(whole.kill, victim)).start()
    for caller in callers:
        assert_kept_once(whole, caller.talk, caller.await_end())
