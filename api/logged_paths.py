"""Paths as the log tells them: what callers write into one, mostly ids, is hashed."""

from collections.abc import Callable

from flask import Flask

from utils.log_ids import hashed_id


def path_hasher(app: Flask) -> Callable[[str], str]:
    """A function that keeps of a path the words that stand in the rules of *app*, and hashes every other segment."""
    words: set[str] = set()

    def hash_path(path: str) -> str:
        if not words:  # at the first request: by then all rules are there
            rules = (segment for rule in app.url_map.iter_rules() for segment in rule.rule.split("/"))
            words.update(segment for segment in rules if "<" not in segment)
        return "/".join([segment if segment in words else hashed_id(segment) for segment in path.split("/")])

    return hash_path
