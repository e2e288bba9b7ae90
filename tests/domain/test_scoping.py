"""The tenant filter of SQL is written in one place, and who a caller is is decided in few."""

import ast
import re
from pathlib import Path

from tests.packages import source_files

# From a credential: a key, a link, the configuration. Or again for what is kept: a run, a conversation.
MAKES_CONTEXTS = {
    "api/auth.py",
    "api/links.py",
    "app.py",
    "agents/runs/record.py",
    "agents/threads.py",
}
ROOT = Path(__file__).parents[2]
FILTER = re.compile(r"\.tenant_id\s*(==|\.in_|\.is_)|filter_by\([^)]*tenant_id")


def test_only_scoping_compares_tenant_ids() -> None:
    # The index has a filter of its own, and the agent only compares names with the default tenant's.
    files = list(source_files("agents", "retrieval"))
    assert len(files) > 20
    assert [path.name for path in files if FILTER.search(path.read_text())] == ["scoping.py"]


def test_who_a_caller_is_is_decided_in_a_few_places() -> None:
    files = [ROOT / "app.py", *source_files()]
    makers = {
        str(path.relative_to(ROOT))
        for path in files
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "TenantContext"
    }
    assert makers == MAKES_CONTEXTS
