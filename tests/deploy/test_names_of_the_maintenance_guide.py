"""The commands of the maintenance guide find the files that they name."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.service import ROOT, plain_environment


def test_the_files_that_its_commands_name_lead_to_ours() -> None:
    included = yaml.safe_load((ROOT / "docker-compose.prod.yml").read_text())["include"]
    required = re.findall(r"^-r (.+)$", (ROOT / "requirements_microservice.txt").read_text(), re.M)
    assert [(ROOT / name).is_file() for name in (*included, *required)] == [True, True]
    assert (ROOT / ".env.example").is_file()


@pytest.mark.long
def test_its_application_is_the_service_with_the_data_of_the_folder_above(tmp_path: Path) -> None:
    program = "import os, fastapi_microservice; print(type(fastapi_microservice.app).__name__, os.getcwd())"
    environment = plain_environment({"DATA_DIR": str(tmp_path)})
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT / "src", env=environment, capture_output=True, text=True, timeout=60
    )
    assert f"FlaskAsgi {ROOT}" in ran.stdout + ran.stderr
