"""The Model Context Protocol: search, documents and bots for assistants that speak it."""
