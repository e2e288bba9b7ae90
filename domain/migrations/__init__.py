"""The tables' history; `domain/db.py` runs it."""
