"""The Makefile, as somebody meets it who has just cloned the repository."""

import re
import subprocess

from tests.service import ROOT


def test_help_says_what_each_command_does() -> None:
    command = ["make", "--no-print-directory", "help"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    commands = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert commands
    assert {name for name, _ in map(lambda line: line.split(maxsplit=1), listed.splitlines())} == {*commands[1].split()}
