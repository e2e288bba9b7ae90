"""Makes the dictionary that conversation state is compressed with: `python -m benchmarks.dictionary`.

It is trained on this project's pages, cut into messages as they are stored. What has been released is frozen: values
compressed with it can be read with nothing else. A better one is another file and another encoding byte beside it.
"""

import random
import re
import uuid
from collections.abc import Iterator
from pathlib import Path

import zstandard
from langchain_core.messages import AIMessage, HumanMessage

from utils.checkpointer.codec import DICTIONARY
from utils.checkpointer.serializer import StrictSerializer

_ROOT = Path(__file__).resolve().parent.parent
_DICTIONARY_BYTES, _MESSAGE_CHARS = 4096, 1200


def _texts() -> Iterator[str]:
    for page in [_ROOT / "README.md", _ROOT / "CHANGELOG.md", *sorted((_ROOT / "docs").glob("*.md"))]:
        for paragraph in re.split(r"\n\n", page.read_text()):
            yield from (paragraph[at : at + _MESSAGE_CHARS] for at in range(0, len(paragraph), _MESSAGE_CHARS))


def _messages() -> Iterator[bytes]:
    serde, chance = StrictSerializer(), random.Random(1)
    for text in _texts():
        question, run = (uuid.UUID(int=chance.getrandbits(128), version=4) for _ in range(2))
        tokens = {"input_tokens": chance.randrange(9000), "output_tokens": chance.randrange(900), "total_tokens": 1}
        answered = {"model_name": "gpt-4o-mini", "finish_reason": "stop"}
        yield serde.dumps_typed(HumanMessage(text, id=str(question)))[1]
        yield serde.dumps_typed(
            AIMessage(text, id=f"lc_run--{run}", response_metadata=answered, usage_metadata=tokens)
        )[1]


def main() -> None:
    """Train it, and write it where the saver finds it."""
    messages: list[bytes | bytearray | memoryview] = list(_messages())
    dictionary = zstandard.train_dictionary(_DICTIONARY_BYTES, messages, level=3)
    path = _ROOT / "utils" / "checkpointer" / DICTIONARY
    path.write_bytes(dictionary.as_bytes())
    print(f"{path.name}: {len(dictionary.as_bytes())} bytes from {len(messages)} messages")


if __name__ == "__main__":
    main()
