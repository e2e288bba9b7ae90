"""Redis or the model goes away at each stage of a turn: the turn ends, and nothing that was said is lost."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from itertools import product
from uuid import uuid4

import httpx
import pytest
from redis import Redis

from agents.runs.keys import make_active_key, make_events_key, run_key
from tests.faults.caller import Caller, Heard
from tests.faults.site import QUESTION, Site, site
from tests.service import ask

pytestmark = pytest.mark.long

SECOND = "And with a bath?"
Harm = Callable[[Site], None]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site; a test leaves it as it likes."""
    with site(tmp_path_factory.mktemp("stores")) as made:
        yield made


@pytest.fixture
def whole(running: Site) -> Site:
    """The same, with everything in order."""
    running.reset()
    return running


def asked(site: Site, caller: Caller) -> None:
    """The model has the question, and thinks."""
    site.model.configure(first_token_ms=1000)
    before = site.model.counters()["stream"]
    caller.start()
    site.service.wait_for(lambda: site.model.counters()["stream"] > before)


def answering(site: Site, caller: Caller) -> None:
    """Somebody has read its first words."""
    site.model.configure(gap_ms=50, tokens=40)
    caller.start()
    site.service.wait_for(lambda: "token" in caller.heard.types())


def storing(site: Site, caller: Caller) -> None:
    """The answer is on its way to Redis."""
    asked(site, caller)
    site.service.wait_for(site.redis_way.hold(rb"EVALSHA.*checkpoint:" + caller.talk.encode()).is_set)


def redis_is_killed(site: Site) -> None:
    site.redis.kill()
    site.redis_way.cut()
    site.redis_way.thaw()


def redis_says_nothing_more(site: Site) -> None:
    site.redis_way.freeze()


def redis_cuts_connections(site: Site) -> None:
    site.redis_way.cut()
    site.redis_way.thaw()


def told(client: httpx.Client, talk: str) -> list[tuple[str, str]]:
    """The conversation as the worker of *client* tells it."""
    messages = client.get(f"/v1/conversations/{talk}").json().get("messages", [])
    return [(message["role"], message["content"]) for message in messages]


@contextmanager
def workers(site: Site) -> Iterator[list[httpx.Client]]:
    """A client of each worker."""
    with ExitStack() as stack:
        yield [stack.enter_context(closing(site.client_of(worker))) for worker in site.service.workers()]


def await_told_by_all(site: Site, talk: str, said: list[tuple[str, str]]) -> None:
    with workers(site) as clients:
        site.service.wait_for(lambda: all(told(client, talk) == said for client in clients))


def said_in(heard: Heard, question: str = QUESTION) -> list[tuple[str, str]]:
    assert heard.end is not None
    assert heard.end["type"] == "done", heard
    assert heard.text() == heard.end["answer"]
    return [("user", question), ("assistant", heard.end["answer"])]


@pytest.mark.parametrize(
    ("stage", "harm"),
    [
        pytest.param(answering, redis_is_killed, marks=pytest.mark.smoke),
        *product((asked, storing), (redis_is_killed,)),
        *product((asked, answering, storing), (redis_says_nothing_more, redis_cuts_connections)),
    ],
)
def test_a_turn_goes_on_without_redis_and_every_worker_has_it_afterwards(
    whole: Site, stage: Callable[[Site, Caller], None], harm: Harm
) -> None:
    caller = Caller(whole)
    stage(whole, caller)
    harm(whole)
    said = said_in(caller.await_end())
    whole.reset()
    await_told_by_all(whole, caller.talk, said)


def test_an_answer_whose_end_redis_has_lost_stays_the_one_that_was_told(whole: Site) -> None:
    talk = uuid4().hex
    with closing(whole.client()) as client:
        first, _ = (ask(client, question, talk).json() for question in (QUESTION, SECOND))
        before = told(client, talk)
        path = f"/v1/runs/{first['run_id']}"
        lose_end(whole, first["run_id"])
        assert '"type":"resumed"' in client.get(f"{path}/events").text
        run = client.get(path).json()
        assert run["status"] == "completed", run
        assert [run["result"][name] for name in ("answer", "created_at")] == [first["answer"], first["created_at"]]
        assert told(client, talk) == before


def lose_end(site: Site, run_id: str) -> None:
    """Leave what Redis has when a worker dies that could not tell it of the end."""
    with closing(Redis.from_url(site.redis.url)) as redis:
        redis.hset(run_key(run_id), mapping={"status": "running", "owner": "gone"})
        redis.delete(make_events_key(run_id))
        redis.zadd(make_active_key(run_id), {run_id: 1})


def test_turns_over_a_slow_way_to_redis_are_all_kept(whole: Site) -> None:
    whole.redis_way.delay_s = 0.1
    try:
        callers = [Caller(whole) for _ in range(8)]
        for caller in callers:
            caller.start()
        heard = [caller.await_end() for caller in callers]
    finally:
        whole.redis_way.delay_s = 0
    assert {one.end["persistence"] for one in heard if one.end} == {"redis"}
    with workers(whole) as clients:
        for caller, one in zip(callers, heard, strict=True):
            assert [told(client, caller.talk) for client in clients] == [said_in(one)] * len(clients)


def test_an_answer_that_the_model_breaks_off_ends_in_quotes_and_the_conversation_goes_on(whole: Site) -> None:
    caller = Caller(whole)
    answering(whole, caller)
    whole.model_way.cut()
    heard = caller.await_end()
    assert heard.end is not None
    assert heard.end["fallback_reason"] == "model-unavailable"
    first = said_in(heard)
    whole.model.reset()
    following = Caller(whole, talk=caller.talk, question=SECOND)
    following.start()
    said = said_in(following.await_end(), SECOND)
    await_told_by_all(whole, caller.talk, [*first, *said])
