"""Parameters of OpenAI's API that change nothing here: ignored, or refused unless they say what holds anyway."""

import json
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

Ignored = Annotated[Any, Field(description="Taken and ignored: how the bot answers is set by its administrator.")]
ModelName = Annotated[
    str, Field(min_length=1, max_length=200, description="The id of a bot, as GET /v1/models lists them.")
]


def fixed(*values: Any) -> Any:
    """A field that may be left out, or have one of *values*, by which nothing changes."""
    return Field(None, description="Anything else is refused.", json_schema_extra={"enum": [None, *values]})


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
    stream_options: Ignored = None
    temperature: Ignored = None
    top_p: Ignored = None
    user: Ignored = None
    tools: Any = fixed([])
    tool_choice: Any = fixed("none", "auto")
    top_logprobs: Any = fixed(0)

    @field_validator("*")
    @classmethod
    def refuse_other_values(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse what asks for something that a bot does not do."""
        extra = cls.model_fields[str(info.field_name)].json_schema_extra
        taken = extra.get("enum") if isinstance(extra, dict) else None
        if isinstance(taken, list) and json.dumps(value, sort_keys=True) not in map(json.dumps, taken):
            shown = " or ".join(json.dumps(one) for one in taken if one is not None)
            raise ValueError(f"Is not supported. Leave it out, or send {shown}")
        return value
