"""Checks each sentence of an answer against the passages that it cites."""
