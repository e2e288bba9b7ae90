"""Spoken questions whose answers are spoken while they are written, by two tenants, over endpoints of real HTTP."""

import json
import time
from base64 import b64decode
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest

from api.spoken_sentences import SentenceCutter
from api.visitors import VISITOR_HEADER, sign_visitor
from tests.api.test_voice import FILE, ROOMS, SPOKEN
from tests.conftest import PAGE_KEY
from tests.fakes.model_server import FakeModelServer
from tests.fakes.speech_server import FakeSpeechServer, make_wav
from tests.scrapes import scrape
from tests.service import Service, await_knowledge, free_port, one_document

FIRST, SECOND = "A dormitory room costs 850,000 rupiah a month [1].", "It is 850,000 rupiah a month for a room [1]."
Events = list[dict[str, Any]]


@pytest.fixture(scope="module")
def metrics_port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def service(
    tmp_path_factory: pytest.TempPathFactory,
    voice_variables: dict[str, str],
    metrics_port: int,
    speech: FakeSpeechServer,
) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("voice-stream")
    variables = {
        **voice_variables,
        "EMOTION_ANALYSIS_URL": speech.base_url,  # asked with VOICE_EMOTION=on alone
        "LLM_MAX_RETRIES": "0",
        "PROMETHEUS_ENABLED": "true",
        "METRICS_PORT": str(metrics_port),
        "CHAT_PAGE_KEY": PAGE_KEY,
        "VISITOR_QUESTIONS_PER_DAY": "1",
    }
    with Service(folder / "data", **one_document(folder), **variables).watched() as running:
        await_knowledge(running, ROOMS)
        yield running


@pytest.fixture(autouse=True)
def _answer(fresh_endpoints: None, model_server: FakeModelServer) -> None:
    model_server.configure(replies={ROOMS: f"{FIRST} {SECOND}"})


def say(client: httpx.Client, talk: str = "", path: str = "/v1/audio/stream", **headers: str) -> httpx.Response:
    headers = {"X-Conversation-Id": talk or uuid4().hex, **headers}
    return client.post(path, files=FILE, headers=headers)


def hear(client: httpx.Client, talk: str = "", **said: str) -> Events:
    answered = say(client, talk, **said)
    assert answered.status_code == 200, answered.text
    assert answered.headers["content-type"] == "text/event-stream; charset=utf-8"
    return list(read(iter(answered.text.splitlines())))


def read(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    """The events in a stream."""
    for line in lines:
        if line.startswith("data: "):
            yield json.loads(line.removeprefix("data: "))


def find(events: Events, kind: str) -> Events:
    return [event for event in events if event["type"] == kind]


def texts_spoken(speech: FakeSpeechServer) -> list[str]:
    return [one["input"] for one in speech.requests if one["path"] == "/v1/audio/speech"]


def test_the_answer_is_told_as_text_and_spoken_sentence_by_sentence(
    client: httpx.Client, speech: FakeSpeechServer
) -> None:
    talk = uuid4().hex
    events = hear(client, talk)
    kinds = list(dict.fromkeys(event["type"] for event in events))
    assert (kinds[:2], kinds[-1]) == (["transcript", "start"], "done")
    assert {"status", "token", "citation", "audio"} < set(kinds)
    done, sounds = events[-1], find(events, "audio")
    assert "".join(event["content"] for event in find(events, "token")) == done["answer"] == f"{FIRST} {SECOND}"
    assert [one["text"] for one in sounds] == [FIRST.replace(" [1]", ""), SECOND.replace(" [1]", "")]
    assert [one["text"] for one in sounds] == texts_spoken(speech)
    assert [one["number"] for one in sounds] == [1, 2]
    assert [b64decode(one["audio"]) for one in sounds] == [speech.sound] * 2
    assert (events[0]["text"], done["transcript"], done["audio_count"], done["audio_note"]) == (ROOMS, ROOMS, 2, None)
    times = done["exec_time"]
    assert 0 < times["speech_to_text"] < times["first_audio"] <= times["total"]
    assert client.get(f"/v1/conversations/{talk}").json()["messages"][1]["content"] == done["answer"]


def test_the_first_sentence_is_heard_before_the_last_is_written(
    client: httpx.Client, model_server: FakeModelServer
) -> None:
    model_server.configure(piece_characters=6, gap_ms=60)
    kinds = [event["type"] for event in hear(client)]
    last_token = len(kinds) - 1 - kinds[::-1].index("token")
    assert kinds.index("audio") < last_token
    assert kinds[-1] == "done"


def test_accept_chooses_the_stream_as_well_and_another_tenant_has_nothing_of_it(
    client: httpx.Client, north: httpx.Client, speech: FakeSpeechServer
) -> None:
    talk = uuid4().hex
    assert hear(client, talk, path="/v1/audio", Accept="text/event-stream")[-1]["audio_count"] == 2
    assert north.get(f"/v1/conversations/{talk}").status_code == 404
    speech.requests.clear()
    events = hear(north, talk)
    assert not events[-1]["answered"]
    assert "850,000" not in json.dumps(events) + " ".join(texts_spoken(speech))
    assert texts_spoken(speech) != []
    assert len(client.get(f"/v1/conversations/{talk}").json()["messages"]) == 2


def test_without_a_service_the_emotion_is_told_from_the_words_and_the_tone_follows_it(
    client: httpx.Client,
    north: httpx.Client,
    service: Service,
    speech: FakeSpeechServer,
    model_server: FakeModelServer,
) -> None:
    speech.heard = f"I feel so sad and lonely since my mother died. {ROOMS}"
    service.wait_for(lambda: hear(client)[-1]["emotion"] == "sad")  # once the examples are embedded
    assert 'feels "sad"' in model_server.requests()[-1]["body"]["messages"][0]["content"]
    speech.heard = ROOMS
    for one in (client, north):
        assert hear(one)[-1]["emotion"] == "neutral"
    assert "feels" not in model_server.requests()[-1]["body"]["messages"][0]["content"]
    assert [one for one in speech.requests if "predict" in one["path"]] == []


def test_what_is_written_before_a_fallback_is_void_and_not_spoken_after_it(
    client: httpx.Client, model_server: FakeModelServer
) -> None:
    model_server.configure(faults=[{"kind": "truncate", "after_tokens": 12}])
    events = hear(client)
    [place] = [at for at, event in enumerate(events) if event["type"] == "fallback"]
    after = events[place:]
    assert "".join(event["content"] for event in find(after, "token")) == after[-1]["answer"]
    cutter = SentenceCutter()
    assert [one["text"] for one in find(after, "audio")] == [*cutter.feed(after[-1]["answer"]), *cutter.finish()]
    assert [one["number"] for one in find(events, "audio")] == list(range(1, events[-1]["audio_count"] + 1))


def test_speech_that_fails_ends_the_speech_and_not_the_text(client: httpx.Client, speech: FakeSpeechServer) -> None:
    speech.statuses = [200, 200, 401]
    events = hear(client)
    done = events[-1]
    assert [one["number"] for one in find(events, "audio")] == [1]
    assert (done["answer"], done["audio_count"]) == (f"{FIRST} {SECOND}", 1)
    assert "TTS_API_KEY" in done["audio_note"]
    assert "secret words" not in json.dumps(events)


def test_an_answer_without_end_is_spoken_in_pieces_and_no_longer_than_others(
    client: httpx.Client, model_server: FakeModelServer, speech: FakeSpeechServer
) -> None:
    model_server.configure(replies={ROOMS: "a room costs 850,000 rupiah a month and " * 200})
    note = hear(client)[-1]["audio_note"]
    spoken = texts_spoken(speech)
    assert max(map(len, spoken)) <= 401
    assert 3_500 < sum(map(len, spoken)) <= 4_000
    whole = say(client, path="/v1/audio").json()
    assert (whole["audio_note"], "4,000" in note) == (note, True)
    assert bytes.fromhex(whole["audio"]) == speech.sound


def test_who_leaves_ends_the_answer_and_the_speech(
    client: httpx.Client, service: Service, model_server: FakeModelServer, metrics_port: int, speech: FakeSpeechServer
) -> None:
    model_server.configure(replies={ROOMS: f"{FIRST} " * 40}, piece_characters=10, gap_ms=50)
    headers = {"X-Conversation-Id": uuid4().hex}
    with client.stream("POST", "/v1/audio/stream", files=FILE, headers=headers) as answer:
        run_id = answer.headers["X-Run-Id"]
        next(event for event in read(answer.iter_lines()) if event["type"] == "audio")
    service.wait_for(lambda: client.get(f"/v1/runs/{run_id}").json()["status"] == "cancelled")
    service.wait_for(lambda: client.get("/health?verbose").json()["admission"]["turn_count"] == 0)
    service.wait_for(lambda: scrape(metrics_port).value("pustaka_model_calls_running", kind="text_to_speech") == 0)
    assert len(texts_spoken(speech)) < 40


def test_every_sentence_is_counted_as_a_call_and_a_repeat_is_not_transcribed_again(
    client: httpx.Client, speech: FakeSpeechServer, metrics_port: int
) -> None:
    before, calls = scrape(metrics_port), "pustaka_model_call_duration_seconds_count"
    talk, key = uuid4().hex, {"Idempotency-Key": uuid4().hex}
    first, again = (say(client, talk, **key) for _ in range(2))
    assert again.headers["X-Run-Id"] == first.headers["X-Run-Id"]
    assert again.headers["Idempotency-Replayed"] == "true"
    found = scrape(metrics_port)
    grown = {
        kind: found.value(calls, kind=kind, outcome="ok") - before.value(calls, kind=kind, outcome="ok")
        for kind in ("speech_to_text", "text_to_speech")
    }
    assert grown == {"speech_to_text": 1, "text_to_speech": 4}


def test_what_cannot_be_asked_is_refused_with_its_status_before_any_event(
    client: httpx.Client, service: Service, speech: FakeSpeechServer
) -> None:
    talk = {"X-Conversation-Id": uuid4().hex}
    silent = client.post("/v1/audio/stream", files={"audio": ("a.wav", make_wav(1, level=0))}, headers=talk)
    assert (silent.status_code, silent.headers["content-type"]) == (422, "application/problem+json")
    assert client.post("/v1/audio/stream", files=FILE).status_code == 400
    token = sign_visitor(PAGE_KEY, uuid4().hex, int(time.time()) + 60)
    with service.client(PAGE_KEY, **{VISITOR_HEADER: token}) as visitor:
        assert hear(visitor)[-1]["type"] == "done"
        asked = len(speech.requests)
        assert say(visitor).status_code == 429
    assert len(speech.requests) == asked


def test_without_a_voice_the_answer_comes_as_text_and_says_why(
    tmp_path_factory: pytest.TempPathFactory, speech: FakeSpeechServer
) -> None:
    folder = tmp_path_factory.mktemp("no-voice")
    endpoint = {"STT_BASE_URL": speech.base_url, "TEXT_EMOTION": "off"}
    with Service(folder / "data", **one_document(folder), **endpoint).watched() as mute, mute.client() as client:
        await_knowledge(mute, ROOMS)
        events = hear(client)
    assert find(events, "audio") == texts_spoken(speech) == []
    assert (events[-1]["audio_count"], events[-1]["exec_time"]["first_audio"], events[-1]["emotion"]) == (0, None, None)
    assert "TTS_BASE_URL" in events[-1]["audio_note"]
    assert speech.requests[0]["file"] == SPOKEN
