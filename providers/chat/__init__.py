"""Chat models: any OpenAI-compatible endpoint, and the extractive answerer that needs none."""
