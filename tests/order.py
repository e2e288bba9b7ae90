"""In which order files of tests are run: the longest first.

With `--dist loadfile` a process takes the next file when it is through with one: a long file taken last keeps the
others idle. The first file makes the `library`, for which all that need it would wait; the next ones do without.
"""

import pytest

# Those that took more than a quarter of a minute; the order among the others is pytest's.
LONGEST = (
    "tests/api/test_chat.py",
    "tests/test_run.py",
    "tests/docs/test_commands.py",
    "tests/test_gunicorn.py",
    "tests/end_to_end/test_stores_away.py",
    "tests/end_to_end/test_table.py",
    "tests/end_to_end/test_index_switch.py",
    "tests/api/test_runs.py",
    "tests/faults/test_worker_dies.py",
    "tests/faults/test_stores_die.py",
    "tests/api/test_migrate_data.py",
    "tests/test_validate_installation.py",
    "tests/clients/test_browser.py",
    "tests/test_validate.py",
    "tests/bootstrap/test_observability.py",
    "tests/ingestion/test_indexer.py",
    "tests/api/test_web_sources.py",
    "tests/api/test_documents.py",
    "tests/api/test_view.py",
    "tests/deploy/test_docker.py",
    "tests/deploy/test_compose.py",
    "tests/deploy/test_systemd.py",
    "tests/faults/test_ingestion_dies.py",
    "tests/end_to_end/test_moved.py",
    "tests/api/test_limits.py",
    "tests/api/test_turn_limits.py",
    "tests/clients/test_browser_with_service.py",
    "tests/end_to_end/test_metrics.py",
    "tests/bootstrap/test_tracing.py",
    "tests/bootstrap/test_metrics.py",
    "tests/bootstrap/test_indexes.py",
    "tests/retrieval/test_index_oracle.py",
    "tests/security/test_health_under_attack.py",
)


def longest_first(items: list[pytest.Item]) -> None:
    """Move the tests of the longest files to the front, in the order that is given here."""
    items.sort(key=_place)


def _place(item: pytest.Item) -> int:
    file = item.nodeid.partition("::")[0]
    return LONGEST.index(file) if file in LONGEST else len(LONGEST)
