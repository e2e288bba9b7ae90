"""Parameters of OpenAI's API that change nothing here: ignored, or refused unless they say what holds anyway."""

from typing import Annotated, Any, Literal, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

Ignored = Annotated[Any, Field(description="Taken and ignored: how the bot answers is set by its administrator.")]
ModelName = Annotated[
    str, Field(min_length=1, max_length=200, description="The id of a bot, as GET /v1/models lists them.")
]


def _refuse_tools(value: Any) -> Any:
    if value:
        raise ValueError("Not supported: leave it out. A bot uses the tools that its administrator gives it")
    return value


Tools = Annotated[
    list[None], Field(max_length=0, description="Empty: a bot has tools of its own."), BeforeValidator(_refuse_tools)
]


def give_example(example: Any) -> ConfigDict:
    """What shows *example* in the description of the API, for a body."""
    return cast(ConfigDict, {"openapi_extra": {"example": example}})


class OpenAiTextFormat(BaseModel):
    """Text: a bot writes nothing else."""

    model_config = ConfigDict(strict=True, extra="forbid")

    type: Literal["text"]


class Parameters(BaseModel):
    """What the two routes that answer have in common."""

    model_config = ConfigDict(strict=True, extra="forbid")

    metadata: Ignored = None
    parallel_tool_calls: Ignored = None
    prompt_cache_key: Ignored = None
    prompt_cache_options: Ignored = None
    prompt_cache_retention: Ignored = None
    safety_identifier: Ignored = None
    service_tier: Ignored = None
    temperature: Ignored = None
    top_p: Ignored = None
    user: Ignored = None
    tools: Tools | None = None
    tool_choice: Literal["none", "auto"] | None = None
    top_logprobs: Literal[0] | None = None
