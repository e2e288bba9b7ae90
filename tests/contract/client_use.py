"""What someone writes who has made a client with openapi-python-client; type-checked and run by test_clients.py.

Run with the service's address, a key and the id of a dataset; prints what it saw as JSON.
"""

import json
import sys
from io import BytesIO

from pustaka_client import AuthenticatedClient
from pustaka_client.api.chat import ask_question, stream_answer
from pustaka_client.api.documents import list_dataset_documents, upload_documents
from pustaka_client.api.operation import get_health
from pustaka_client.api.runs import follow_run
from pustaka_client.models import (
    ChatIn,
    ChatOut,
    DocumentsOut,
    HealthOut,
    Problem,
    TokenEvent,
    UploadDocumentsBody,
    UploadDocumentsBodyMetadata,
    UploadOut,
)
from pustaka_client.types import File

QUESTION = "How much does a dormitory room cost?"


def stream(client: AuthenticatedClient) -> str:
    """The text of an answer, put together from its tokens as they come."""
    events = stream_answer.sync(client=client, body=ChatIn(message=QUESTION), x_conversation_id="streamed")
    assert isinstance(events, str)
    told = [json.loads(line.removeprefix("data: ")) for line in events.splitlines() if line.startswith("data: ")]
    return "".join(TokenEvent.from_dict(event).content for event in told if event["type"] == "token")


def main(url: str, key: str, dataset_id: str) -> None:
    """Ask, follow, stream, upload, list, look at the health, and be refused."""
    with AuthenticatedClient(base_url=url, token=key, raise_on_unexpected_status=True) as client:
        asked = ask_question.sync(client=client, body=ChatIn(message=QUESTION), x_conversation_id="asked")
        assert isinstance(asked, ChatOut)
        followed = follow_run.sync(asked.run_id, client=client)
        assert isinstance(followed, str)
        file = File(BytesIO(b"The tower has nine floors."), file_name="tower.txt", mime_type="text/plain")
        metadata = UploadDocumentsBodyMetadata.from_dict({"category": "towers"})
        body = UploadDocumentsBody(files=[file], metadata=metadata)
        uploaded = upload_documents.sync(dataset_id, client=client, body=body, idempotency_key="an-upload")
        again = upload_documents.sync_detailed(dataset_id, client=client, body=body, idempotency_key="an-upload")
        assert isinstance(uploaded, UploadOut)
        listed = list_dataset_documents.sync(dataset_id, client=client, limit=10)
        assert isinstance(listed, DocumentsOut)
        health = get_health.sync(client=client)
        assert isinstance(health, HealthOut)
        refused = follow_run.sync("nothing", client=client)
        assert isinstance(refused, Problem)
        seen = {
            "answer": asked.answer,
            "followed": followed.count("event: done"),
            "streamed": stream(client),
            "uploaded": [job.name for job in uploaded.jobs],
            "replayed": again.headers["Idempotency-Replayed"],
            "listed": [document.metadata.to_dict() for document in listed.documents],
            "health": health.status,
            "refused": refused.type_,
        }
        print(json.dumps(seen))


if __name__ == "__main__":
    main(*sys.argv[1:])
