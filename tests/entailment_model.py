"""A small model for entailment in the layout of an export: it takes for true what has its words from the passage."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from onnx import TensorProto, helper, save
from onnx.onnx_ml_pb2 import GraphProto, NodeProto
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

PAIR_LABELS = {0: "not_entailment", 1: "entailment"}
TOKEN_LABELS = {0: "supported", 1: "hallucinated"}
PLACES = 256
_SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]


def write_model(
    folder: Path,
    texts: Sequence[str],
    kind: Literal["pairs", "tokens"],
    labels: dict[int, str] | None = None,
    *,
    model_type: Literal["bert", "roberta"] = "bert",
) -> Path:
    """Write a model that knows the words of *texts*: whether all of a sentence's words, or each, are in its passage.

    It fails on more tokens than it has places for; one of *model_type* roberta counts them from 2.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _tokenizer(texts).save(str(folder / "tokenizer.json"))
    names = labels or (PAIR_LABELS if kind == "pairs" else TOKEN_LABELS)
    before = 1 if model_type == "roberta" else -1  # the number before that of the first place
    config = {"id2label": names, "pad_token_id": max(before, 0), "max_position_embeddings": PLACES}
    config |= {"model_type": model_type}
    (folder / "config.json").write_text(json.dumps(config))
    graph = _graph(_of_pairs() if kind == "pairs" else _of_tokens(), before)
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), folder / "model.onnx")
    return folder


def _tokenizer(texts: Sequence[str]) -> Tokenizer:
    split = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation("removed")])
    words = dict.fromkeys(word.lower() for text in texts for word, _ in split.pre_tokenize_str(text))
    vocabulary = {word: number for number, word in enumerate([*_SPECIAL, *words])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizers.Lowercase(), split
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return tokenizer


def _graph(nodes: Sequence[NodeProto], before: int) -> GraphProto:
    """`in_passage`, 1 for a token that the passage has, shape `(pairs, tokens)`; *nodes* make `logits` of it."""
    common = [
        helper.make_node("Equal", ["token_type_ids", "zero"], ["is_first"]),
        helper.make_node("Equal", ["token_type_ids", "one"], ["is_second"]),
        helper.make_node("Equal", ["attention_mask", "one"], ["is_text"]),
        helper.make_node("And", ["is_first", "is_text"], ["of_passage"]),
        helper.make_node("And", ["is_second", "is_text"], ["of_sentence"]),
        helper.make_node("Unsqueeze", ["input_ids", "two"], ["down"]),
        helper.make_node("Unsqueeze", ["input_ids", "one"], ["across"]),
        helper.make_node("Equal", ["down", "across"], ["same"]),
        helper.make_node("Unsqueeze", ["of_passage", "one"], ["there"]),
        helper.make_node("And", ["same", "there"], ["matches"]),
        helper.make_node("Cast", ["matches"], ["matches_f"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMax", ["matches_f"], ["matched"], axes=[2], keepdims=0),
        helper.make_node("CumSum", ["attention_mask", "one"], ["counted"]),
        helper.make_node("Mul", ["counted", "attention_mask"], ["counted_text"]),
        helper.make_node("Add", ["counted_text", "before"], ["place"]),
        helper.make_node("Gather", ["places", "place"], ["nothing"]),
        helper.make_node("Add", ["matched", "nothing"], ["in_passage"]),
        helper.make_node("Cast", ["of_sentence"], ["of_sentence_f"], to=TensorProto.FLOAT),
    ]
    names = ("input_ids", "attention_mask", "token_type_ids")
    inputs = [helper.make_tensor_value_info(name, TensorProto.INT64, ["pairs", "tokens"]) for name in names]
    output = helper.make_tensor_value_info("logits", TensorProto.FLOAT, None)
    constants = [
        *(helper.make_tensor(name, TensorProto.INT64, [1], [n]) for n, name in enumerate(("zero", "one", "two"))),
        helper.make_tensor("before", TensorProto.INT64, [1], [before]),
        helper.make_tensor("places", TensorProto.FLOAT, [PLACES], [0.0] * PLACES),
        helper.make_tensor("bar", TensorProto.FLOAT, [1], [0.99]),
        helper.make_tensor("half", TensorProto.FLOAT, [1], [0.5]),
        helper.make_tensor("scale", TensorProto.FLOAT, [1], [20.0]),
    ]
    return helper.make_graph([*common, *nodes], "words", inputs, [output], constants)


def _of_tokens() -> list[NodeProto]:
    return [
        helper.make_node("Sub", ["in_passage", "half"], ["above"]),
        helper.make_node("Mul", ["above", "scale"], ["yes"]),
        *_both("yes", axis="two"),
    ]


def _of_pairs() -> list[NodeProto]:
    return [
        helper.make_node("Mul", ["in_passage", "of_sentence_f"], ["shared"]),
        helper.make_node("ReduceSum", ["shared", "one"], ["count"], keepdims=0),
        helper.make_node("ReduceSum", ["of_sentence_f", "one"], ["length"], keepdims=0),
        helper.make_node("Div", ["count", "length"], ["share"]),
        helper.make_node("Sub", ["bar", "share"], ["below"]),
        helper.make_node("Mul", ["below", "scale"], ["no"]),
        *_both("no", axis="one"),
    ]


def _both(name: str, *, axis: str) -> list[NodeProto]:
    """The logits of two labels: *name* and its negative, along *axis*."""
    return [
        helper.make_node("Neg", [name], ["other"]),
        helper.make_node("Unsqueeze", [name, axis], ["first_label"]),
        helper.make_node("Unsqueeze", ["other", axis], ["second_label"]),
        helper.make_node("Concat", ["first_label", "second_label"], ["logits"], axis=-1),
    ]
