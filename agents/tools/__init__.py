"""Tools: what the agent may use to answer, or to act. A bot names those that it may use."""
