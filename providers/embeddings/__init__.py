"""Texts to vectors: the model that comes with the service, and any OpenAI-compatible endpoint."""
