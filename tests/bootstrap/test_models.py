"""The models that settings name: what a start says where one cannot be had."""

import sys
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from bootstrap.models import open_entailment
from config import load_settings
from utils.processes import StartError


async def test_a_folder_without_a_model_for_entailment_stops_the_start_and_is_named(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        with pytest.raises(StartError, match=r"VERIFY_MODEL_PATH: .* has no model\.onnx, tokenizer\.json"):
            await open_entailment(stack, load_settings(verify_model_path=tmp_path))


async def test_the_packages_that_it_needs_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "providers.entailment.onnx", None)  # as where the extra is not installed
    async with AsyncExitStack() as stack:
        with pytest.raises(StartError, match="requirements-entailment"):
            await open_entailment(stack, load_settings(verify_model_path=tmp_path))
