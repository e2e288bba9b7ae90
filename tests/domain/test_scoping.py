"""The tenant filter of SQL is written in one place."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
FILTER = re.compile(r"\.tenant_id\s*(==|\.in_|\.is_)|filter_by\([^)]*tenant_id")


def test_only_scoping_compares_tenant_ids() -> None:
    files = [path for folder in ("api", "bootstrap", "domain", "ingestion") for path in (ROOT / folder).rglob("*.py")]
    assert len(files) > 20
    assert [path.name for path in files if FILTER.search(path.read_text())] == ["scoping.py"]
