"""`POST /v1/audio`: a spoken question, answered in text and speech, as a whole or while the answer is written."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from hashlib import blake2b
from typing import Any

from flask import Response, jsonify, request
from flask_openapi3 import APIBlueprint, Tag
from pydantic import Field, TypeAdapter, ValidationError

from agents.runs.record import extract_result
from api import uploads
from api.access import requires_before_body
from api.bots import load_bot
from api.datasets import make_responses
from api.description_parts import REQUEST_HEADERS, RESPONSE_HEADERS, STREAMS, describe_event_stream, request_header
from api.links import link_citations
from api.multipart import UploadedFile
from api.problem_schemas import Problem
from api.recordings import LANGUAGE_FIELD, LARGEST_FORM, RECORDING_FIELD, check_recording, read_language, take_recording
from api.run_schemas import AcceptedRunOut
from api.run_views import accept_run, describe_run
from api.schemas import BotId
from api.services import services
from api.speech_notes import NO_SPEECH_TO_TEXT, NO_TEXT_TO_SPEECH, ONLY_BEGINNING
from api.sse import respond_with_events, wants_events
from api.stopwatch import Stopwatch
from api.turns import CONVERSATION_HEADER, RUN_HEADER, Question, Turn, begin_turn, hold_repeats, reserve_turn
from api.voice_events import ExecTimeOut, SpokenOut
from api.voice_stream import LONGEST_PAUSE_S, SpokenAnswer, describe_question
from auth.principal import Principal
from auth.scopes import Scope
from server.sync_pool import get_sync_pool
from utils.audio import Recording
from utils.errors import Conflict, ProblemError, TooLarge, UnreadableDocument
from utils.ports import SpeechToText
from utils.spoken_text import LONGEST_SPOKEN, cut_spoken_text, make_spoken_text
from utils.validation import CONVERSATION_ID, LONGEST_MESSAGE, check_conversation_id, check_text, refuse_field

logger = logging.getLogger("api.voice")

voice_blueprint = APIBlueprint("voice", __name__, abp_tags=[Tag(name="Voice", description="Ask by voice.")])
_BOT_ID: TypeAdapter[str] = TypeAdapter(BotId)
_HEADERS = [
    request_header(
        CONVERSATION_HEADER, "The conversation that the question belongs to; required.", pattern=CONVERSATION_ID.pattern
    )
]
_REFUSALS = (403, 404, 409, 413, 415, 422, 502, 504)
_BODY = uploads.describe_form(
    {
        "audio": RECORDING_FIELD,
        "bot_id": {"type": "string", "description": "Left out: the key's, or the default one."},
        "language": LANGUAGE_FIELD,
    },
    required=["audio"],
)
_DESCRIBED = {
    "requestBody": _BODY,
    REQUEST_HEADERS: _HEADERS,
    RESPONSE_HEADERS: [CONVERSATION_HEADER, RUN_HEADER],
}


class AudioOut(SpokenOut):
    """An answer to a spoken question."""

    audio: str | None = Field(description="The answer as a WAV file, in hexadecimal; null: see audio_note.")
    exec_time: ExecTimeOut


@voice_blueprint.post(
    "/v1/audio",
    operation_id="askByVoice",
    summary="Ask a question by voice",
    description="The recording is transcribed, asked as `POST /v1/chat` does, and the answer spoken. 409: voice is not "
    "set up; 413: the recording has more than 16 MB, or its transcript more than 5,000 characters; 422: it is empty, "
    "no sound file of a known kind, or nobody speaks in it. 202: as for `POST /v1/chat`. With "
    "`Accept: text/event-stream` it does what `POST /v1/audio/stream` does.",
    responses={**make_responses(200, AudioOut, *_REFUSALS), 202: AcceptedRunOut},
    openapi_extensions=_DESCRIBED,
)
@requires_before_body(Scope.CHAT_WRITE)
async def ask_by_voice(ctx: Principal) -> Response:
    """The answer, with what was understood and the speech; as events for whoever prefers them."""
    return await _answer(ctx, streams=wants_events())


@voice_blueprint.post(
    "/v1/audio/stream",
    operation_id="streamSpokenAnswer",
    summary="Ask a question by voice, and hear the answer while it is written",
    description="As `POST /v1/audio`, with the events of `POST /v1/chat/stream`, `transcript` before them, and `audio` "
    "between them: each sentence as a WAV file in base64, in order. `done` is the last one, after all sound; after "
    "fallback and resumed, tokens and sound before are void.",
    responses={200: {"description": "The events, to the end of the speech."}, **dict.fromkeys(_REFUSALS, Problem)},
    openapi_extensions={**_DESCRIBED, STREAMS: describe_event_stream("VoiceEvent")},
)
@requires_before_body(Scope.CHAT_WRITE)
async def stream_spoken_answer(ctx: Principal) -> Response:
    """The answer as events, sentence by sentence."""
    return await _answer(ctx, streams=True)


async def _answer(ctx: Principal, *, streams: bool) -> Response:
    model = _require_speech_to_text()
    conversation_id = _read_conversation_id()
    watch = Stopwatch()
    async with uploads.open_form(
        ctx, text_fields=("bot_id", "language"), max_bytes=LARGEST_FORM, file_field="audio"
    ) as form:
        bot_id = _read_bot_id(form.texts["bot_id"])
        await load_bot(ctx, bot_id)
        recording, fingerprint = await get_sync_pool().run(partial(_take_recording, form.files))
        language = read_language(form.texts["language"])
        fingerprint = f"{fingerprint} {language or ''}"
        question = Question("", conversation_id, bot_id, fingerprint=fingerprint, streams=streams)
        transcribe = partial(_transcribe, model, recording, language)
        turn, times = await _begin_spoken(ctx, question, transcribe, partial(_recognise_emotion, recording), watch)
    if streams:
        speaker = services().text_to_speech
        note = None if speaker else NO_TEXT_TO_SPEECH
        spoken = SpokenAnswer(turn, speaker, watch, times, note=note)
        response = respond_with_events(spoken.stream(), longest_pause_s=LONGEST_PAUSE_S)
    else:
        response = await _respond(turn, watch, times)
    response.headers.update(turn.headers)
    return response


async def _begin_spoken(
    ctx: Principal,
    question: Question,
    transcribe: Callable[[], Awaitable[str]],
    recognise: Callable[[str], Awaitable[str]],
    watch: Stopwatch,
) -> tuple[Turn, dict[str, float]]:
    """The turn of *question*, whose words *transcribe* gives, and their emotion *recognise*; and the seconds of both.

    It is counted first, and a request that was sent before is known: a transcription is paid for, too.
    """
    async with hold_repeats(ctx, question) as repeated:
        reservation = await reserve_turn(ctx)
        try:
            watch.lap()
            message = repeated.message if repeated else _check_transcript(await transcribe())
            times = {"speech_to_text": watch.lap()}
            emotion = repeated.emotion if repeated else await recognise(message)
            times["emotion_analysis"] = watch.lap()
            question = replace(question, message=message, emotion=emotion)
        except BaseException:
            reservation.permit.release()
            raise
        return await begin_turn(ctx, question, reservation), times


async def _transcribe(model: SpeechToText, recording: Recording, language: str | None) -> str:
    await get_sync_pool().run(partial(check_recording, recording))
    return await model.transcribe(recording, language=language)


async def _recognise_emotion(recording: Recording, message: str) -> str:
    """A word for how the person feels, "" where that is not to be known, or cannot be: the answer does not need it."""
    model = services().emotion_model
    if model is None:
        return ""
    try:
        return await model.recognise(recording, message)
    except ProblemError as error:
        logger.warning("The emotion of a spoken question is not known: %s", error.detail)
        return ""


def _require_speech_to_text() -> SpeechToText:
    """What transcribes.

    Raises:
        Conflict: nothing is set up.
    """
    model = services().speech_to_text
    if model is None:
        raise Conflict(NO_SPEECH_TO_TEXT)
    return model


def _take_recording(files: list[UploadedFile]) -> tuple[Recording, str]:
    """The one recording of a form, and what is the same of two that are; see `take_recording`. Blocking."""
    recording = take_recording(files, "audio")
    return recording, blake2b(recording.read(), digest_size=32).hexdigest()


def _check_transcript(text: str) -> str:
    """*text* as a question.

    Raises:
        TooLarge: it is longer than a question may be.
        UnreadableDocument: it cannot be one.
    """
    if len(text) > LONGEST_MESSAGE:
        raise TooLarge(f"A question has at most {LONGEST_MESSAGE:,} characters, the transcript {len(text):,}.")
    try:
        return check_text(text.replace("\0", " "))
    except ValueError as exc:
        raise UnreadableDocument("The transcript is not a valid question.") from exc


def _read_conversation_id() -> str:
    named = request.headers.get(CONVERSATION_HEADER)
    if named is None:
        raise refuse_field(f"Name the conversation in the {CONVERSATION_HEADER} header.", CONVERSATION_HEADER)
    return check_conversation_id(named, field=CONVERSATION_HEADER)


def _read_bot_id(sent: str) -> str | None:
    try:
        return _BOT_ID.validate_python(sent) if sent else None
    except ValidationError as exc:
        raise refuse_field("bot_id: Is not the id of a bot.", "bot_id") from exc


async def _respond(turn: Turn, watch: Stopwatch, times: dict[str, float]) -> Response:
    last = await turn.wait_for_end()
    if last["type"] == "waiting":
        result, _ = await services().runs.find(turn.ctx, turn.record.id)
        return accept_run(await describe_run(turn.ctx, result, last))
    answer = await link_citations(turn.ctx, extract_result(last), services().links.get_base_url())
    times = {**times, "process_rag": watch.lap()}
    sound, note = await _speak(str(answer["answer"]))
    times |= {"text_to_speech": watch.lap(), "total": watch.total()}
    body: dict[str, Any] = {**answer, **describe_question(turn), "audio_note": note, "exec_time": times}
    make: Callable[[], Response] = partial(_make_response, body, sound)
    return await get_sync_pool().run(make)  # megabytes in hexadecimal


async def _speak(answer: str) -> tuple[bytes | None, str | None]:
    """*answer* as a WAV file, and why it, or its rest, is not spoken: the answer itself is not lost for that."""
    model = services().text_to_speech
    if model is None:
        return None, NO_TEXT_TO_SPEECH
    words = make_spoken_text(answer)
    try:
        sound = await model.speak(cut_spoken_text(words) or "-")
        return sound, ONLY_BEGINNING if len(words) > LONGEST_SPOKEN else None
    except ProblemError as error:
        logger.warning("An answer could not be spoken: %s", error.detail)
        return None, error.detail


def _make_response(body: dict[str, Any], sound: bytes | None) -> Response:
    return jsonify({**body, "audio": None if sound is None else sound.hex()})
