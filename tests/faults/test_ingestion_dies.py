"""The service is killed while it takes documents in: each of them comes to its end once, and leaves nothing behind."""

from pathlib import Path

import pytest

from tests.faults import loads
from tests.faults.loads import Load, WholeService
from tests.service import Service

pytestmark = [pytest.mark.long, pytest.mark.soak]


async def test_documents_of_a_service_that_is_killed_at_each_stage_all_end_once_and_can_be_deleted_whole(
    tmp_path: Path,
) -> None:
    (tmp_path / "nothing").mkdir()
    variables = {"KNOWLEDGE_DIR": str(tmp_path / "nothing"), "RATE_LIMIT_ENABLED": "false", "INGESTION_LEASE": "2"}
    with Service(tmp_path / "data", **variables) as service, loads.records_of(service) as database:
        load = Load(service, service.new_key(loads.OWNER.tenant_id), loads.make_documents(20))
        uploading = load.begin()
        loads.kill_at_stages(database, WholeService(service), kills=3)
        loads.await_end(load, uploading, limit_s=120)
        assert loads.faults(load) == []
        passages = loads.held_rows(database)["chunks"]
        with load.client() as client:
            # What is deleted while another one is still being read goes with it.
            late = [("files", ("late.md", b"# Late\n\nThis came at the last moment."))]
            assert client.post(f"{load.dataset}/documents/upload", files=late).status_code == 202
            assert client.delete(load.dataset).status_code == 204
        assert loads.wait(lambda: not loads.held_rows(database), 60)
        service.stop()
        assert passages >= 19
        assert loads.held_files(service) == 0
        assert await loads.indexed(service) == 0
