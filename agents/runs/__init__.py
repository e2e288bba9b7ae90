"""Runs: every turn has an id, events that can be followed from any worker, and an end whatever happens."""
