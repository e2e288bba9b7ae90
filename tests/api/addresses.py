"""Every route of the service, as requests can be made of it."""

import re

from app import create_app
from config import load_settings


def addresses() -> list[tuple[str, str]]:
    """A method and a path of every route, with values that nothing has."""
    rules = create_app(load_settings(_env_file=None)).url_map.iter_rules()
    paths = [(rule, re.sub(r"<int:[^>]+>", "1", rule.rule)) for rule in rules]
    filled = [(rule, re.sub(r"<[^>]+>", "nothing", path)) for rule, path in paths]
    return sorted((method, path) for rule, path in filled for method in rule.methods or ())
