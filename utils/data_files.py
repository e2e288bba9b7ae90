"""Data that stand in a file beside the modules that use them, such as tables of words."""

import json
from importlib.resources import files
from typing import Any


def load_json(package: str, name: str) -> Any:
    """What the JSON file *name* in the folder of *package* holds."""
    return json.loads((files(package) / name).read_text("utf-8"))
