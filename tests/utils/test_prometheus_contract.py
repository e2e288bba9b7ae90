"""What `utils/telemetry/folder.py` takes for granted of prometheus_client, which documents no other way to do it."""

from importlib.metadata import version
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Counter, values
from prometheus_client.multiprocess import MultiProcessCollector


def test_counts_are_kept_under_the_number_that_the_process_gives_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert version("prometheus-client") == "0.26.0", "read its values.py anew, then change this version"
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    for number in (3, 4):
        kind = values.MultiProcessValue(lambda number=number: number)  # type: ignore[no-untyped-call] # typed in parts
        monkeypatch.setattr(values, "ValueClass", kind)
        Counter("contract_total", "For this test.", registry=None).inc(number)
    assert sorted(file.name for file in tmp_path.glob("*.db")) == ["counter_3.db", "counter_4.db"]
    registry = CollectorRegistry()
    MultiProcessCollector(registry, str(tmp_path))  # type: ignore[no-untyped-call] # as above
    assert registry.get_sample_value("contract_total") == 7
