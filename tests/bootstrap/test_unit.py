"""The systemd unit that runs a service, as commands read it."""

from pathlib import Path

import pytest

from bootstrap import installation


@pytest.fixture
def units(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "units"
    (folder / "pustaka-api.service.d").mkdir(parents=True)
    monkeypatch.setattr(installation, "_UNIT_FOLDERS", (str(folder),))
    return folder


def test_a_file_that_may_be_missing_is_not_missed_and_an_empty_line_takes_back(units: Path, tmp_path: Path) -> None:
    there = tmp_path / "there.env"
    there.write_text("PORT=8001\n")
    (units / "pustaka-api.service").write_text(
        f"[Service]\nWorkingDirectory={tmp_path}\nUser=nobody\nEnvironment=PORT=1 HOME=/somewhere\n"
        f"EnvironmentFile=/of/nobody\nExecStart=/bin/false\n"
    )
    (units / "pustaka-api.service.d" / "own.conf").write_text(
        f"[Service]\nEnvironment=\nEnvironment='LLM_MODEL=one two'\nEnvironmentFile=\nEnvironmentFile=-{there}\n"
        f"EnvironmentFile=-{tmp_path / 'not there.env'}\nExecStart=\nExecStart=/bin/true --quiet\n"
    )
    unit = installation.find_unit(tmp_path)
    assert unit is not None
    assert (unit.user, unit.command) == ("nobody", ("/bin/true", "--quiet"))
    assert unit.variables == {"LLM_MODEL": "one two"}
    assert unit.files == (there,)
    assert installation.find_unit(tmp_path / "elsewhere") is None
