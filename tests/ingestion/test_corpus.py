"""Real and malformed documents from a folder beside the checkout, where there is one: none may break a load."""

import json
import os
from pathlib import Path

import pytest

from domain.db import Database
from domain.documents import list_documents
from tests.domain.records import ACME
from tests.reading import load_files

CORPUS = Path(os.environ.get("DOCUMENTS_CORPUS", Path(__file__).parents[3] / "shared" / "data" / "documents"))
pytestmark = [
    pytest.mark.skipif(not CORPUS.is_dir(), reason="no folder of documents: set DOCUMENTS_CORPUS"),
    pytest.mark.parametrize("migrated_uri", ["sqlite"], indirect=True),  # parsers do not know where it goes
]
DAMAGED = "Damaged or unsupported file"


def test_malformed_documents_are_taken_or_refused_as_they_should_be(database: Database) -> None:
    folder = CORPUS / "malformed"
    expected = json.loads((folder / "expected.json").read_text())
    load_files(database, ACME, [folder / name for name in expected])
    with database.open_read_session() as session:
        states = {Path(document.source).name: document.state for document in list_documents(session, ACME)}
    assert states.keys() == expected.keys()
    for name, state in states.items():
        verdict = expected[name].split(":")[0].split(";")[0]
        assert (state == "failed") in {"reject": {True}, "accept": {False}}.get(verdict, {True, False}), name


@pytest.mark.first
@pytest.mark.long
@pytest.mark.parametrize("kind", ["office", "pdf"])
def test_no_real_document_breaks_its_parser(database: Database, kind: str) -> None:
    summary = load_files(database, ACME, [CORPUS / kind])
    assert summary.added > 0
    assert [name for name, reason in summary.failed if reason.startswith(DAMAGED)] == []
