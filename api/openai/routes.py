"""The blueprint with all its routes."""

from api.openai import completions, models, responses
from api.openai.blueprint import openai_blueprint

__all__ = ["completions", "models", "openai_blueprint", "responses"]
