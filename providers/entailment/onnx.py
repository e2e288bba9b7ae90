"""An entailment model from a folder of the operator's, run by ONNX Runtime on this machine.

The folder is what `optimum-cli export onnx` writes: `model.onnx`, `tokenizer.json` and `config.json`. Two kinds of
models are read, told apart by the shape of their output:

- classifiers of pairs (natural language inference, FactCG, HHEM), `(pairs, labels)`: the score is the probability of
  the label that says "supported";
- classifiers of tokens (LettuceDetect, TinyLettuce), `(pairs, tokens, labels)`: the score is that of the sentence's
  worst token.

Source of the layout: https://huggingface.co/docs/optimum-onnx/onnx/usage_guides/export_a_model
"""

import asyncio
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer

from utils.errors import ProviderUnavailable
from utils.ports import FloatArray

_SUPPORTED = frozenset({"entailment", "supported", "consistent", "faithful", "yes"})
_INVENTED = frozenset({"hallucinated", "hallucination", "unsupported", "inconsistent", "not_supported"})
MAX_TOKENS = 1024  # of a passage and a sentence together; the longer of them loses its end
_THREADS = 2
_AT_ONCE = 8  # pairs in a call: more of them need more memory and are no faster
# RoBERTa and its kin count places from the number behind that of padding: so many fewer there are for tokens.
# https://github.com/huggingface/transformers/blob/main/src/transformers/models/roberta/modeling_roberta.py
_OFFSET_TYPES = frozenset({"roberta", "xlm-roberta", "xlm-roberta-xl", "camembert", "mpnet", "longformer"})
_FILES = ("model.onnx", "tokenizer.json", "config.json")


class UnusableModel(Exception):
    """The folder holds no model of either kind; the text says why."""


class OnnxEntailment:
    """`EntailmentModel` over the model in *folder*, in a thread of its own: one call after the other."""

    def __init__(self, folder: Path) -> None:
        """Load it.

        Raises:
            UnusableModel: a file is missing or cannot be read, or no label says which sentences are supported.
        """
        missing = [name for name in _FILES if not (folder / name).is_file()]
        if missing:
            raise UnusableModel(f"{folder} has no {', '.join(missing)}.")
        try:
            config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
            self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
            self._session = onnxruntime.InferenceSession(
                folder / "model.onnx", _make_options(), ["CPUExecutionProvider"]
            )
            self._label, self._is_support = _find_label(config)
            max_tokens = _count_places(config)
        except UnusableModel:
            raise
        except Exception as exc:  # the tokenizer's library and the runtime raise plain ones
            raise UnusableModel(f"The model in {folder} cannot be read: {exc}") from exc
        self._tokenizer.enable_truncation(max_tokens, strategy="longest_first")
        self._tokenizer.enable_padding(pad_id=int(config.get("pad_token_id") or 0))
        self._inputs = {each.name for each in self._session.get_inputs()}
        self._thread = ThreadPoolExecutor(1, "entailment")
        self.name = str(config.get("_name_or_path") or folder.name)

    async def score(self, pairs: Sequence[tuple[str, str]]) -> FloatArray:
        """How surely each pair's passage supports its sentence, 0 to 1, shape `(len(pairs),)`, in order.

        Raises:
            ProviderUnavailable: the model cannot be run on them.
        """
        loop = asyncio.get_running_loop()
        parts = [pairs[start : start + _AT_ONCE] for start in range(0, len(pairs), _AT_ONCE)]
        # One call a part: a cancelled caller is rid of the rest.
        try:
            scores = [await loop.run_in_executor(self._thread, self._score, part) for part in parts]
        except (
            Exception
        ) as exc:  # the runtime raises plain ones: of memory, of shapes, of what the model makes of a text
            raise ProviderUnavailable(f"The model for entailment, {self.name}, failed.") from exc
        return np.concatenate(scores) if scores else np.empty(0, np.float32)

    async def aclose(self) -> None:
        """Let the thread end; what it works on is finished first."""
        await asyncio.to_thread(self._thread.shutdown, wait=True, cancel_futures=True)

    def _score(self, pairs: Sequence[tuple[str, str]]) -> FloatArray:
        encoded = self._tokenizer.encode_batch(
            [(_remove_surrogates(passage), _remove_surrogates(sentence)) for passage, sentence in pairs]
        )
        logits = np.asarray(self._session.run(None, self._feed(encoded))[0], np.float32)
        shares = _compute_softmax(logits)[..., self._label]
        support = shares if self._is_support else 1 - shares
        if support.ndim == 1:
            return support
        of_sentence = np.array([[place == 1 for place in each.sequence_ids] for each in encoded])
        worst: FloatArray = np.where(of_sentence, support, 1.0).min(axis=1)
        return worst

    def _feed(self, encoded: Sequence[Encoding]) -> dict[str, NDArray[np.int64]]:
        columns = {
            "input_ids": [each.ids for each in encoded],
            "attention_mask": [each.attention_mask for each in encoded],
            "token_type_ids": [each.type_ids for each in encoded],
        }
        return {name: np.array(rows, np.int64) for name, rows in columns.items() if name in self._inputs}


def _remove_surrogates(text: str) -> str:
    """*text* without halves of surrogate pairs, which come out of JSON and which the tokenizer does not take."""
    return text.encode("utf-8", "replace").decode()


def _count_places(config: dict[str, Any]) -> int:
    """How many tokens of a pair the model can read, at most `MAX_TOKENS`."""
    places = int(config.get("max_position_embeddings") or MAX_TOKENS)
    if config.get("model_type") in _OFFSET_TYPES:
        places -= int(config.get("pad_token_id") or 0) + 1
    return min(MAX_TOKENS, places)


def _make_options() -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = _THREADS
    options.log_severity_level = 3  # errors; the rest is for those who build models
    return options


def _find_label(config: dict[str, Any]) -> tuple[int, bool]:
    """The number of the label that decides, and whether it says "supported" or "invented"."""
    labels = {int(number): str(name).lower() for number, name in config.get("id2label", {}).items()}
    for expected, is_support in ((_SUPPORTED, True), (_INVENTED, False)):
        if label := [number for number, name in labels.items() if name in expected]:
            return label[0], is_support
    if labels.get(1) == "label_1" and len(labels) == 2:  # unnamed: by custom, 1 is what a token classifier looks for
        return 1, "TokenClassification" not in "".join(config.get("architectures") or ())
    raise UnusableModel(f"No label of {sorted(labels.values())} says which sentences are supported.")


def _compute_softmax(logits: FloatArray) -> FloatArray:
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    shares: FloatArray = powers / powers.sum(axis=-1, keepdims=True)
    return shares
