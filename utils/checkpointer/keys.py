"""Where a conversation is kept, and how a checkpoint within it is named."""

from dataclasses import dataclass
from typing import cast

from langchain_core.runnables import RunnableConfig

STATE_PATTERN = "state:{checkpoint:*}"
# In a config: the fence of the run's lease. LangGraph keeps no name that begins so with the checkpoint.
FENCE = "__fence"
_STATE_PREFIX, _STATE_SUFFIX = "state:{checkpoint:", "}"


def make_summary_key(thread_id: str) -> str:
    """The readable key: a JSON string with ids, counts, times and sizes, never text of a message."""
    return f"checkpoint:{_escape(thread_id)}"


def make_state_key(thread_id: str) -> str:
    """The hash with the state. The braces make a cluster keep it in the slot of `make_summary_key`."""
    return f"{_STATE_PREFIX}{_escape(thread_id)}{_STATE_SUFFIX}"


def make_lease_key(thread_id: str) -> str:
    """Who has a run in the conversation; not ours to write, see agents/leases.py. In the slot of the other two."""
    return f"lease:{{checkpoint:{_escape(thread_id)}}}"


def make_deleted_key(thread_id: str) -> str:
    """There for a while when the conversation was deleted, see agents/runs/deletions.py. In the slot of the lease."""
    return f"runs:deleted:{{checkpoint:{_escape(thread_id)}}}"


def get_fence(config: RunnableConfig) -> int:
    """The fence of the lease under which *config* writes; 0 where there is none."""
    return int(config["configurable"].get(FENCE, 0))


def parse_thread_id(key: bytes) -> str:
    """The thread id of a key found by `STATE_PATTERN`; bytes that are no UTF-8 are kept as escapes."""
    name = key.decode(errors="backslashreplace").removeprefix(_STATE_PREFIX).removesuffix(_STATE_SUFFIX)
    return name.replace("%7D", "}").replace("%25", "%")


def _escape(thread_id: str) -> str:
    # A closing brace in an id would move one of the two keys to another slot; the rest of it may be anything.
    return thread_id.replace("%", "%25").replace("}", "%7D")


def make_blob_context(thread_id: str, ref: bytes) -> bytes:
    """The context that a value is sealed with: whose it is, and its name."""
    return b"\0".join((thread_id.encode(), ref))


@dataclass(frozen=True, slots=True)
class CheckpointAddress:
    """A checkpoint's address: conversation, namespace (`""`, or the path of a subgraph), checkpoint id (maybe `""`)."""

    thread_id: str
    namespace: str
    checkpoint_id: str

    @classmethod
    def from_config(cls, config: RunnableConfig) -> "CheckpointAddress":
        """The address in a LangGraph *config*; what it does not say is `""`."""
        names = config["configurable"]
        return cls(str(names["thread_id"]), names.get("checkpoint_ns") or "", names.get("checkpoint_id") or "")

    def config(self) -> RunnableConfig:
        """The address as LangGraph spells it."""
        names = {
            "thread_id": self.thread_id,
            "checkpoint_ns": self.namespace,
            "checkpoint_id": self.checkpoint_id,
        }
        return cast(RunnableConfig, {"configurable": names})

    def record_context(self, kind: bytes, head: bytes) -> bytes:
        """The context that a record of this checkpoint is sealed with: whose it is, and the *head* before it."""
        names = (self.thread_id.encode(), kind, self.namespace.encode(), self.checkpoint_id.encode())
        return b"\0".join((*names, head))

    def at(self, checkpoint_id: str) -> "CheckpointAddress":
        """Another checkpoint of the same conversation and namespace."""
        return CheckpointAddress(self.thread_id, self.namespace, checkpoint_id)
