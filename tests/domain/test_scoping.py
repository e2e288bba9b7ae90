"""The tenant filter of SQL is written in one place, and principals are made in three."""

import ast
import re
from pathlib import Path

import pytest

from tests.packages import source_files

# For requests, for commands, and for background work; the class itself beside them.
MAKES_PRINCIPALS = {"auth/credentials.py", "auth/operators.py", "auth/background.py"}
ROOT = Path(__file__).parents[2]
FILTER = re.compile(r"\.tenant_id\s*(==|\.in_|\.is_)|filter_by\([^)]*tenant_id")


def test_only_scoping_compares_tenant_ids() -> None:
    # The index has a filter of its own, and the agent only compares names with the default tenant's.
    files = list(source_files("agents", "retrieval"))
    assert len(files) > 20
    assert [path.name for path in files if FILTER.search(path.read_text())] == ["scoping.py"]


def test_principals_are_made_in_three_places_alone() -> None:
    files = [*ROOT.glob("*.py"), *source_files()]
    makers = {
        str(path.relative_to(ROOT))
        for path in files
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] == "Principal"
    }
    assert makers == MAKES_PRINCIPALS


@pytest.mark.parametrize(
    ("maker", "may_import"),
    [
        ("auth.credentials", {"api", "app.py", "domain/keys.py", "domain/conversation_shares.py"}),
        ("auth.operators", {"bootstrap", "cli", "indexing/orders.py"}),
        ("auth.background", {"agents/runs/record.py", "domain", "indexing/reconciliation.py"}),
    ],
)
def test_each_maker_of_principals_is_for_its_edge(maker: str, may_import: set[str]) -> None:
    users = {
        str(path.relative_to(ROOT))
        for path in [*ROOT.glob("*.py"), *source_files("auth")]
        if re.search(rf"^from {re.escape(maker)} import", path.read_text("utf-8"), re.MULTILINE)
    }
    assert users
    assert {user for user in users if user not in may_import and user.split("/")[0] not in may_import} == set()
