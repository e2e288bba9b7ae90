"""The blueprint with all its routes."""

from api.openai import audio, completions, embeddings, models, responses
from api.openai.blueprint import openai_blueprint

__all__ = ["audio", "completions", "embeddings", "models", "openai_blueprint", "responses"]
