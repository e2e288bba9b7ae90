"""`/v1/conversations/{id}/answers/{run}/speech`: a past answer, read aloud."""

from typing import Literal, cast

from flask import Response
from flask_openapi3 import APIBlueprint, Tag
from pydantic import ConfigDict, Field

from api.access import requires
from api.bots import select_bot
from api.dataset_schemas import Strict
from api.description_parts import describe_file_response
from api.problem_schemas import Problem
from api.ratings import AnswerPath, check_answer_path
from api.schemas import BotQuery
from api.services import services
from api.speech_notes import NO_TEXT_TO_SPEECH
from api.turns import count_question
from auth.principal import Principal
from auth.scopes import Scope
from utils.audio import SPEECH_FORMATS
from utils.errors import BadInput, Conflict, ProviderUnavailable
from utils.ports import TextToSpeech
from utils.spoken_text import cut_spoken_text, make_spoken_text

answer_speech_blueprint = APIBlueprint(
    "answer_speech", __name__, abp_tags=[Tag(name="Voice", description="Ask by voice.")]
)


_MP3_OR_WAV = "mp3_or_wav"


class SpeechIn(Strict):
    """How an answer is to be spoken."""

    model_config = cast(ConfigDict, {"openapi_extra": {"required": False}})  # a key of flask-openapi3

    response_format: Literal["mp3", "opus", "flac", "wav", "mp3_or_wav"] = Field(
        "wav",
        description="wav is always there; the others, where the text-to-speech model has them. mp3_or_wav: mp3 there, "
        "else wav.",
    )


@answer_speech_blueprint.post(
    "/v1/conversations/<conversation_id>/answers/<run_id>/speech",
    operation_id="speakAnswer",
    summary="Hear an answer",
    responses={
        200: describe_file_response("audio/*", "The sound file."),
        **dict.fromkeys((400, 401, 404, 409, 413, 429, 502, 503, 504), Problem),
    },
)
@requires(Scope.CHAT_WRITE, repeats="none")
async def speak(ctx: Principal, path: AnswerPath, query: BotQuery, body: SpeechIn) -> Response:
    """The words of a past answer, without marks of citations; of a long one whole sentences, up to 4,000 characters.

    Of a visitor it counts as a question. 404: the caller has no such answer; 409: answers are not spoken here.
    """
    model = services().text_to_speech
    if model is None:
        raise Conflict(NO_TEXT_TO_SPEECH)
    conversation_id, run_id = check_answer_path(path)
    turn = await services().conversations.answer(select_bot(ctx, query.bot_id), conversation_id, run_id)
    headers = await count_question(ctx)
    text = cut_spoken_text(make_spoken_text(str(turn.answer["content"]))) or "-"
    sound, response_format = await _speak(model, text, body.response_format)
    return Response(sound, mimetype=SPEECH_FORMATS[response_format].media_type, headers=headers)


async def _speak(model: TextToSpeech, text: str, response_format: str) -> tuple[bytes, str]:
    """The sound, and the format that it has."""
    if response_format != _MP3_OR_WAV:
        return await model.speak(text, response_format=response_format), response_format
    try:
        return await model.speak(text, response_format="mp3"), "mp3"
    except (BadInput, ProviderUnavailable):  # some endpoints refuse a format, others send the one that they have
        return await model.speak(text, response_format="wav"), "wav"
