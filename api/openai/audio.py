"""`POST /v1/audio/transcriptions` and `POST /v1/audio/speech`, by the models that take and speak questions here.

Source: https://platform.openai.com/docs/api-reference/audio
"""

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Literal

from flask import Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from api import uploads
from api.access import requires, requires_before_body
from api.bots import load_bot
from api.description_parts import OPENAI_ERRORS, describe_file_response
from api.openai.blueprint import openai_blueprint
from api.openai.parameters import give_example
from api.recordings import LANGUAGE_FIELD, LARGEST_FORM, RECORDING_FIELD, check_recording, read_language, take_recording
from api.responses import respond
from api.schemas import NON_BLANK
from api.services import services
from api.turns import count_question
from auth.credentials import is_website_visitor
from auth.principal import Principal
from auth.scopes import Scope
from server.sync_pool import get_sync_pool
from utils.audio import SPEECH_FORMATS
from utils.errors import Forbidden, NotFound
from utils.ports import SpeechToText, TextToSpeech
from utils.printable import drop_controls
from utils.validation import check_text, refuse_field

_ANY_NAME = "default"
_FORMATS = ("json", "text")
# Clients write lists with brackets and without.
_LISTS = ("include", "timestamp_granularities", "known_speaker_names", "known_speaker_references")
# Refused by name, since what is passed over in silence would be missed; with what each may say that holds anyway.
_REFUSED: Mapping[str, tuple[str, ...]] = {
    "prompt": (),
    "stream": ("false",),
    "chunking_strategy": (),
    **dict.fromkeys((*_LISTS, *(f"{name}[]" for name in _LISTS)), ()),
}
_FIELDS = ("model", "language", "response_format", "temperature", *_REFUSED)
_BODY = uploads.describe_form(
    {
        "file": RECORDING_FIELD,
        "model": {"type": "string", "description": "The name of the model, or default."},
        "language": LANGUAGE_FIELD,
        "response_format": {"type": "string", "enum": list(_FORMATS), "default": "json"},
        "temperature": {"type": "number", "description": "Taken and ignored."},
    },
    required=["file", "model"],
)


class OpenAiTranscriptionOut(BaseModel):
    """What was understood."""

    text: str


class OpenAiSpeechIn(BaseModel):
    """A text to be spoken."""

    model_config = ConfigDict(
        strict=True, extra="forbid", **give_example({"model": "default", "input": "Good morning.", "voice": "default"})
    )

    model: str = Field(min_length=1, max_length=200, description="The name of the model, or default.")
    input: Annotated[str, Field(min_length=1, max_length=4096), NON_BLANK, AfterValidator(check_text)]
    voice: str = Field(
        max_length=100,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._+()-]*$",
        description="A voice that the endpoint knows, or default.",
    )
    response_format: Literal["mp3", "opus", "flac", "wav"] = "mp3"
    speed: float = Field(1, ge=0.25, le=4)
    stream_format: Literal["audio"] = "audio"


@openai_blueprint.post(
    "/v1/audio/transcriptions",
    operation_id="createTranscription",
    summary="Transcribe a recording",
    description="By the model that takes spoken questions. 404: there is none here, or none of this name; 413: the "
    "recording has more than 16 MB, or its transcript more than 100,000 characters; 422: it is empty, damaged, no "
    "sound file of a known kind, or nobody speaks in it.",
    responses={200: OpenAiTranscriptionOut, **dict.fromkeys((404, 409, 413, 415, 422, 502, 504), None)},
    openapi_extensions={"requestBody": _BODY, OPENAI_ERRORS: True},
)
@requires_before_body(Scope.CHAT_WRITE)
async def create_transcription(ctx: Principal) -> Response:
    """The words of the recording, as JSON or as plain text. Of a visitor it counts as a question."""
    _check_caller(ctx)
    model = _require_speech_to_text()
    await _check_bot(ctx)
    return await uploads.receive(
        ctx, partial(_transcribe, ctx, model), text_fields=_FIELDS, max_bytes=LARGEST_FORM, file_field="file"
    )


@openai_blueprint.post(
    "/v1/audio/speech",
    operation_id="createSpeech",
    summary="Speak a text",
    description="By the model that speaks answers. 404: there is none here, or none of this name; 400: it does not "
    "have this voice or format, among others; 413: the speech would have more than 16 MB.",
    responses={200: describe_file_response("audio/*", "The sound file."), **dict.fromkeys((404, 413, 502, 504), None)},
    openapi_extensions={OPENAI_ERRORS: True},
)
@requires(Scope.CHAT_WRITE, repeats="none")
async def create_speech(ctx: Principal, body: OpenAiSpeechIn) -> Response:
    """The text as a sound file. Of a visitor it counts as a question."""
    _check_caller(ctx)
    model = _require_text_to_speech()
    await _check_bot(ctx)
    _check_name(body.model, model.model)
    headers = await count_question(ctx)
    voice = None if body.voice == _ANY_NAME else body.voice
    sound = await model.speak(body.input, voice=voice, response_format=body.response_format, speed=body.speed)
    return Response(sound, mimetype=SPEECH_FORMATS[body.response_format].media_type, headers=headers)


async def _transcribe(ctx: Principal, model: SpeechToText, form: uploads.Form) -> Response:
    response_format = _check_fields(form.texts)
    _check_name(form.texts["model"], model.model)
    language = read_language(form.texts["language"])
    recording = await get_sync_pool().run(partial(take_recording, form.files, "file"))
    headers = await count_question(ctx)
    await get_sync_pool().run(partial(check_recording, recording))
    text = await model.transcribe(recording, language=language)
    if response_format == "text":
        return Response(f"{drop_controls(text)}\n", mimetype="text/plain", headers=headers)
    response = respond(OpenAiTranscriptionOut(text=text))
    response.headers.update(headers)
    return response


def _check_caller(ctx: Principal) -> None:
    """Return where *ctx* may have anything transcribed or spoken; raises Forbidden for visitors of websites."""
    if is_website_visitor(ctx):
        raise Forbidden("A visitor of a website may ask its bot, also by voice at /v1/audio, and nothing else.")


async def _check_bot(ctx: Principal) -> None:
    """Return where the key is for no bot, or for one that may be asked; raises as `load_bot` does."""
    if ctx.bot_id is not None:
        await load_bot(ctx, None)


def _check_fields(texts: Mapping[str, str]) -> str:
    """How the answer is to be written.

    Raises:
        BadInput: in a way that it cannot be, or something is asked for that is not done here.
    """
    for name, harmless in _REFUSED.items():
        if texts[name] and texts[name] not in harmless:
            raise refuse_field(f"{name}: Not supported: leave it out.", name)
    if not texts["model"]:
        raise refuse_field("model: Is missing.", "model")
    response_format = texts["response_format"] or _FORMATS[0]
    if response_format not in _FORMATS:
        raise refuse_field(
            "response_format: Has to be json or text: transcripts have no times here.", "response_format"
        )
    return response_format


def _check_name(named: str, model: str) -> None:
    if named not in (_ANY_NAME, model):
        raise NotFound(f"The model here is {model!r}: name that, or {_ANY_NAME!r}.")


# Not 409 as at `/v1/audio`: OpenAI's clients send again what is answered so.
def _require_speech_to_text() -> SpeechToText:
    model = services().speech_to_text
    if model is None:
        raise NotFound("Recordings are not transcribed here: STT_BASE_URL is not set, nor PROSA_STT_API_KEY.")
    return model


def _require_text_to_speech() -> TextToSpeech:
    model = services().text_to_speech
    if model is None:
        raise NotFound("Texts are not spoken here: TTS_BASE_URL is not set, nor PROSA_TTS_API_KEY.")
    return model
