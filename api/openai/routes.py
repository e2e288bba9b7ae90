"""The blueprint with all its routes."""

from api.openai import completions, embeddings, models, responses
from api.openai.blueprint import openai_blueprint

__all__ = ["completions", "embeddings", "models", "openai_blueprint", "responses"]
