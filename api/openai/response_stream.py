"""The events of a run as those of a response.

Source: https://platform.openai.com/docs/api-reference/responses-streaming
"""

from collections.abc import Mapping
from typing import Any

from agents.runs.record import Event
from api.openai.answers import continue_text
from api.openai.blueprint import describe_openai_error, make_void_error
from api.openai.response_objects import Sent, begin_message, describe_part, describe_response, make_response_id
from api.sse import encode_data
from api.turns import Turn
from auth.principal import DEFAULT_BOT
from utils.errors import describe_problem


class ResponseWriter:
    """Writes the events of a run as those of a response.

    The text that it tells at the end is what was streamed: places of annotations are places in that. *base*: what
    addresses of the API begin with.
    """

    def __init__(self, turn: Turn, base: str, sent: Sent) -> None:
        self._base = base
        record = turn.record
        self._run: dict[str, Any] = {
            "id": record.id,
            "conversation_id": record.conversation_id,
            "bot_id": record.ctx.bot_id or DEFAULT_BOT,
            "created_at": record.created_at,
            **dict.fromkeys(("result", "problem", "waiting_for")),
        }
        self._sent, self._text, self._count = sent, "", 0
        self._has_begun = self._is_over = False
        self._place = {"item_id": f"msg_{record.id}", "output_index": 0, "content_index": 0}

    def write(self, event_id: str, event: Event) -> bytes | None:
        """The events that tell *event*; None where there is nothing more to tell, though the run goes on."""
        if self._is_over:
            return None
        match event["type"]:
            case "start" if not self._has_begun:
                self._has_begun = True
                return self._encode_state("created", "processing") + self._encode_state("in_progress", "processing")
            case "token":
                return self._add(event["content"])
            case "fallback" | "resumed" if self._text:
                return self._give_up()
            case "done":
                return self._complete(event)
            case "error":
                return self._encode_state("failed", "failed", problem=event["problem"])
            case "waiting":
                return self._encode_state("incomplete", "waiting", waiting_for=event["call"])
            case "cancelled":
                return self._encode_state("incomplete", "cancelled")
        return b""

    def _add(self, text: str) -> bytes:
        first = b"" if self._text else self._open_message()
        self._text += text
        return first + self._encode("output_text.delta", **self._place, delta=text, logprobs=[])

    def _open_message(self) -> bytes:
        item = begin_message(self._run["id"])
        added = self._encode("output_item.added", output_index=0, item=item)
        return added + self._encode("content_part.added", **self._place, part=describe_part("", []))

    def _complete(self, result: Mapping[str, Any]) -> bytes:
        rest = continue_text(self._text, result["answer"])
        last = self._add(rest) if rest else b""
        run = {**self._run, "status": "completed", "result": result}
        response = describe_response(run, self._base, self._sent, text=self._text)
        [item] = response["output"]
        [part] = item["content"]
        for index, annotation in enumerate(part["annotations"]):
            last += self._encode(
                "output_text.annotation.added", **self._place, annotation_index=index, annotation=annotation
            )
        last += self._encode("output_text.done", **self._place, text=self._text, logprobs=[])
        last += self._encode("content_part.done", **self._place, part=part)
        last += self._encode("output_item.done", output_index=0, item=item)
        return last + self._encode("completed", response=response)

    def _give_up(self) -> bytes:
        self._is_over = True
        path = f"/v1/responses/{make_response_id(self._run['conversation_id'], self._run['id'])}"
        error = describe_openai_error(describe_problem(make_void_error(path)))
        return self._encode_event("error", {name: error[name] for name in ("code", "message", "param")})

    def _encode_state(self, name: str, status: str, **changes: Any) -> bytes:
        run = {**self._run, "status": status, **changes}
        return self._encode(name, response=describe_response(run, self._base, self._sent))

    def _encode(self, name: str, **members: Any) -> bytes:
        return self._encode_event(f"response.{name}", members)

    def _encode_event(self, kind: str, members: Mapping[str, Any]) -> bytes:
        data = encode_data({"type": kind, "sequence_number": self._count, **members})
        self._count += 1
        return f"event: {kind}\n".encode("ascii") + data
