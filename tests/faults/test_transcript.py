"""The transcript while workers are killed and PostgreSQL restarts; `transcript_chaos` does it for more turns."""

from pathlib import Path

import pytest

from tests.faults.transcript_chaos import WRONG, run

pytestmark = pytest.mark.long


@pytest.mark.first
def test_each_acknowledged_turn_is_in_sql_once_and_nothing_of_deleted_ones(tmp_path: Path) -> None:
    found = run(tmp_path, turns=40, seed=3, callers=4, pause_s=1.5)
    assert found["workers killed"] + found["PostgreSQL restarted"] > 0
    assert found["acknowledged"] == found["turns"] == 40
    assert {name: found[name] for name in WRONG} == dict.fromkeys(WRONG, 0)
