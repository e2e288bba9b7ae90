"""Jobs of the sandbox: the work of a process and how much it may use, sent to the fork server as JSON."""

import json
from dataclasses import asdict, dataclass, replace
from typing import Self

FILE_BYTES = 300_000_000
FILE = 4  # the descriptor of the file that `Sandbox.start` was given, in the process


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxJob:
    """Work on one file.

    `serve` names a function as "module:function": it takes what callers write and what they read, as two binary files,
    and its process ends with it. `prepare` names one without arguments that is called before: it may read what the
    process may read, and start threads. The fork server imports the module of `serve` and those of `preload` before it
    forks, those of `later` for the next job when it has nothing else to do; none of them starts a thread.

    Instead of `serve`, `program` is a program of the system and its arguments, with `variables` as its environment:
    it is spoken to by its standard input and output. `reads` are further paths it needs. `writes` is a folder of
    its own, in which alone the process may make files, of up to `FILE_BYTES` each; it may start threads, too. That
    is for libraries that do not work otherwise, and is refused where nothing holds the process to its folder.
    `is_ahead`: nobody waits for its process yet, so that what is for later is imported before it is forked.
    """

    serve: str = ""
    prepare: str = ""
    preload: tuple[str, ...] = ()
    later: tuple[str, ...] = ()
    program: tuple[str, ...] = ()
    variables: tuple[tuple[str, str], ...] = ()
    reads: tuple[str, ...] = ()
    writes: str = ""
    memory_bytes: int
    cpu_s: int
    is_ahead: bool = False

    def to_json(self) -> bytes:
        """For `from_json`."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        """What `to_json` was called on."""
        fields = json.loads(data)
        job = cls(**fields)
        return replace(
            job,
            preload=tuple(job.preload),
            later=tuple(job.later),
            program=tuple(job.program),
            reads=tuple(job.reads),
            variables=tuple((name, value) for name, value in job.variables),
        )
