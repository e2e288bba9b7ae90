"""What the fake model server is told to do and what it was asked; nothing of HTTP."""

import asyncio
import json
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any, Literal

from tests.fakes.model_answers import answer_tokens, split_tokens, text_of

Json = dict[str, Any]
_KEPT_REQUESTS = 500


@dataclass
class Fault:
    """A way to fail the next *times* calls (-1: all) of *model* (empty: of any), once *after_calls* have passed.

    `status` answers with that HTTP status, with *location* where one is given. `drop` closes the connection without a
    word. `hang` never answers.
    `malformed` sends half a JSON document, `empty` an answer without choices. The others act after *after_tokens*
    tokens: `truncate` breaks the connection, `end_early` ends the stream in good order but without a finish reason,
    `error_event` sends an error inside the stream, `stall` is silent from then on. In a whole (not streamed) answer
    they cut the body short.
    """

    kind: Literal["status", "drop", "hang", "malformed", "truncate", "end_early", "error_event", "stall", "empty"]
    times: int = 1
    after_calls: int = 0
    model: str = ""
    status: int = 500
    retry_after: str = ""
    location: str = ""
    code: str = ""
    message: str = "A fault that a test asked for."
    after_tokens: int = 0


@dataclass
class Behaviour:
    """How calls are served that no fault is waiting for.

    `tokens` is the least length of an answer. `replies` maps a text that stands in the prompt to what is then said, in
    pieces of one word each or of `piece_characters`. `finish_reason` is why every answer ends.
    `plans` maps a text of the newest question to what is decided about tools, one after another: a word, or calls as
    `[{"tool": …, "arguments": …}]`. A model that `refuses_tools` answers 400 to a request that has some.
    """

    first_token_ms: float = 0.0
    gap_ms: float = 0.0
    tokens: int = 0
    dimension: int = 384
    embedding_ms: float = 0.0
    replies: dict[str, str] = field(default_factory=dict)
    piece_characters: int = 0
    finish_reason: str = "stop"
    plans: dict[str, list[Any]] = field(default_factory=dict)
    refuses_tools: bool = False
    faults: list[Fault] = field(default_factory=list)


class FakeModel:
    """What the server knows: its behaviour, and what it was asked."""

    def __init__(self) -> None:
        self.under_way: set[object] = set()  # connections with an answer that has not ended
        self.transports: set[asyncio.Transport] = set()  # of all connections
        self.reset()

    def reset(self) -> None:
        self.behaviour = Behaviour()
        self.counters: Counter[str] = Counter()
        self.requests: deque[Json] = deque(maxlen=_KEPT_REQUESTS)

    def configure(self, changes: Json) -> None:
        faults = [Fault(**fault) for fault in changes.pop("faults", [])]
        self.behaviour = Behaviour(**{**vars(self.behaviour), **changes, "faults": faults})

    def next_fault(self, model: str) -> Fault | None:
        for fault in self.behaviour.faults:
            if fault.times and fault.model in ("", model):
                if fault.after_calls:
                    fault.after_calls -= 1
                    continue
                fault.times -= 1
                return fault
        return None

    def decide(self, body: Json) -> Json | str | None:
        """What the model decides about tools; None where it is not asked to."""
        messages: list[Json] = body["messages"]
        native = "tools" in body
        if not native and "Reply with one JSON object" not in text_of(messages[0]):
            return None
        newest = next(text_of(message) for message in reversed(messages) if message["role"] == "user")
        results = [message for message in messages if message["role"] == "tool"]
        done = len(results) or newest.count("<tool_result call=")
        steps = next((steps for text, steps in self.behaviour.plans.items() if text in newest), ["DOCUMENTS"])
        step = steps[min(done, len(steps) - 1)]
        if native or isinstance(step, str):
            return {"calls": step} if isinstance(step, list) else step
        return json.dumps(step[0])

    def tokens(self, messages: list[Json]) -> list[str]:
        for key, reply in self.behaviour.replies.items():
            if any(key in text_of(message) for message in messages):
                return split_tokens(reply, self.behaviour.piece_characters)
        return answer_tokens(messages, at_least=self.behaviour.tokens)
