"""What the chat page is told: the variables that its code reads, and whom its server believes about addresses."""

import ast
from pathlib import Path

from clients.streamlit_chat import settings


def _read() -> set[str]:
    tree = ast.parse(Path(settings.__file__).read_text("utf-8"))
    asked = (each for each in ast.walk(tree) if isinstance(each, ast.Call))
    readers = {"os.environ.get", "_choose", "_require"}
    names = (each.args[0] for each in asked if ast.unparse(each.func) in readers)
    return {str(name.value) for name in names if isinstance(name, ast.Constant)}


PAGE_VARIABLES = _read() | {"FORWARDED_ALLOW_IPS"}
