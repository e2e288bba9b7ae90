"""Problems as the API shows them, in its own form and in that of OpenAI."""

from functools import cache
from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class ErrorOut(BaseModel):
    """Why something failed."""

    detail: str


class FieldError(BaseModel):
    """One wrong field."""

    field: str
    message: str


class Problem(BaseModel):
    """RFC 9457 problem details. Some types have more members; `message` repeats `detail`."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(description="Decide by this one.", examples=["urn:pustaka:problem:not-found"])
    title: str = Field(description="What the type means.", examples=["Not found"])
    status: int
    detail: str = Field(description="What is wrong with this request, and what to do about it.")
    instance: str = Field(description="The path of the request.")
    request_id: str | None
    message: str
    timestamp: int = Field(description="Seconds since 1970.")
    errors: list[FieldError] = Field([], description="Each wrong field.")

    @classmethod
    @cache
    def model_json_schema(cls, *arguments: Any, **options: Any) -> dict[str, Any]:  # type: ignore[override] # by `cache`
        """Its schema, made once and not to be changed: each error status of each route asks for it, over 400 times."""
        return super().model_json_schema(*arguments, **options)


class OpenAiErrorDetail(BaseModel):
    """What is wrong."""

    message: str = Field(description="What is wrong with this request, and what to do about it.")
    type: str = Field(examples=["invalid_request_error"])
    param: str | None = Field(description="The first wrong field.")
    code: str = Field(description="The problem type: decide by this one.", examples=["not-found"])


class OpenAiErrorOut(BaseModel):
    """A refusal, in the shape of OpenAI's API."""

    error: OpenAiErrorDetail
