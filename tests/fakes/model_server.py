"""A fake model endpoint that speaks OpenAI's wire format over real HTTP, and misbehaves when told to.

    POST /v1/chat/completions   streamed or whole, with usage      POST /v1/embeddings   float or base64
    POST /v1/rerank   Cohere's format          GET  /v1/models
    POST /__config              change how it behaves: the fields of `Behaviour`; "faults" are those of `Fault`
    POST /__reset               default behaviour, no faults, counters at zero
    GET  /__counters            how often it was asked for what, and "under_way": how many are being answered
    GET  /__requests            {"counters": …, "requests": the last ones with their messages and headers, oldest first}

In a test: `with FakeModelServer() as server: … server.base_url`. For a benchmark, in its own process:
`python -m tests.fakes.model_server --port 9100`; it is one asyncio protocol on httptools, because it must cost far less
than what is measured. It prints its address and nothing else: headers hold keys. Requests are not pipelined.

Wire format: https://platform.openai.com/docs/api-reference/chat
"""

import argparse
import asyncio
import base64
import json
import threading
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import Any, Self, cast

import httptools
import uvloop

from tests.fakes.model_answers import embedding
from tests.fakes.model_behaviour import FakeModel, Fault
from tests.fakes.model_wire import LAST_CHUNK, STREAM_HEAD, stream_pieces, whole_answer

Json = dict[str, Any]
_MODELS = ("fake", "fake-embedding")  # any name is answered
_REASONS = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found", 429: "Too Many Requests"}


class ModelProtocol(asyncio.Protocol):
    """One connection: parses requests, writes answers, keeps the timer of the one that is under way."""

    transport: asyncio.Transport

    def __init__(self, model: FakeModel) -> None:
        self.model = model
        self.loop = asyncio.get_running_loop()
        self.parser = httptools.HttpRequestParser(self)
        self.timer: asyncio.TimerHandle | None = None

    # The parser's callbacks, by httptools' names.
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is one by duck typing only
        self.model.counters["connections"] += 1
        self.model.transports.add(self.transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.model.transports.discard(self.transport)
        if self.timer:
            self.timer.cancel()
        if self.answering:
            self.model.counters["abandoned"] += 1
            self.answering = False

    @property
    def answering(self) -> bool:
        return self in self.model.under_way

    @answering.setter
    def answering(self, is_so: bool) -> None:
        (self.model.under_way.add if is_so else self.model.under_way.discard)(self)

    def data_received(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError:
            self.transport.close()

    def on_message_begin(self) -> None:
        self.url, self.body, self.headers = b"", b"", dict[str, str]()

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.decode().lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        path = self.url.split(b"?")[0].decode()
        try:
            self._route(self.parser.get_method().decode(), path, json.loads(self.body or b"{}"))
        except (ValueError, TypeError, KeyError, AttributeError) as exc:
            self._json({"error": {"message": repr(exc), "type": "invalid_request_error", "code": None}}, status=400)

    def _route(self, method: str, path: str, body: Json) -> None:
        match method, path:
            case "POST", "/v1/chat/completions":
                self._chat(body)
            case "POST", "/v1/embeddings":
                self._embeddings(body)
            case "POST", "/v1/rerank":
                self._rerank(body)
            case "GET", "/v1/models":
                self._json({"object": "list", "data": [{"id": name, "object": "model"} for name in _MODELS]})
            case "GET", "/__requests":
                self._json({"counters": dict(self.model.counters), "requests": list(self.model.requests)})
            case "GET", "/__counters":
                self._json({**self.model.counters, "under_way": len(self.model.under_way)})
            case "POST", "/__config":
                self.model.configure(body)
                self._json({})
            case "POST", "/__reset":
                self.model.reset()
                self._json({})
            case _:
                self._json({"error": {"message": f"Unknown request URL: {path}", "code": "unknown_url"}}, status=404)

    def _note(self, kind: str, body: Json) -> Fault | None:
        self.model.counters[kind] += 1
        self.model.requests.append({"kind": kind, "headers": self.headers, "body": body})
        fault = self.model.next_fault(str(body["model"]))
        self.model.counters["faults"] += fault is not None
        return fault

    def _refused(self, fault: Fault | None) -> bool:
        """Whether *fault* has already decided this call: nothing of an answer is to be sent."""
        if fault is None:
            return False
        if fault.kind == "status":
            error = {"message": fault.message, "type": "fake", "code": fault.code or None}
            said = {"retry-after": fault.retry_after, "location": fault.location}
            headers = {name: value for name, value in said.items() if value}
            self._json({"error": error}, status=fault.status, headers=headers)
        elif fault.kind == "drop":
            self.transport.close()
        elif fault.kind == "hang":
            self.answering = True
        return fault.kind in ("status", "drop", "hang")

    # --- Chat
    def _chat(self, body: Json) -> None:
        messages: list[Json] = body["messages"]
        fault = self._note("stream" if body.get("stream") else "chat", body)
        if not messages:
            raise ValueError("messages: at least one is needed")
        if self._refused(fault):
            return
        if body.get("tools") and self.model.behaviour.refuses_tools:
            self._json({"error": {"message": "tools: unknown parameter", "code": "unknown_parameter"}}, status=400)
            return
        decided = self.model.decide(body)
        if decided is not None:
            told, calls = (decided, None) if isinstance(decided, str) else ("", decided["calls"])
            self._json(whole_answer(body, told, "stop", calls))
            return
        self.answering = True
        tokens = self.model.tokens(messages)
        first_s, gap_s = self.model.behaviour.first_token_ms / 1000, self.model.behaviour.gap_ms / 1000
        if body.get("stream"):
            pieces = stream_pieces(body, tokens, fault, self.model.behaviour.finish_reason)
            self._after(first_s, lambda: self._send_pieces(STREAM_HEAD, pieces, gap_s))
        else:
            self._after(first_s + gap_s * (len(tokens) - 1), lambda: self._whole(body, "".join(tokens), fault))

    def _whole(self, body: Json, text: str, fault: Fault | None) -> None:
        answer = whole_answer(body, text, self.model.behaviour.finish_reason)
        self.answering = False
        if fault and fault.kind == "malformed":
            self._send(json.dumps(answer).encode()[:60])
        elif fault and fault.kind == "empty":
            self._json({**answer, "choices": []})
        elif fault:
            self._send(json.dumps(answer).encode()[:60], length=10_000)
            self.transport.close()
        else:
            self._json(answer)

    def _send_pieces(self, head: bytes, pieces: Iterator[bytes | None], gap_s: float) -> None:
        written = [head]
        for piece in pieces:
            if piece is None:
                self.answering = False
                self.transport.write(b"".join(written))
                return self.transport.close()
            written.append(piece)
            if gap_s and piece and not piece.endswith(LAST_CHUNK):
                self.transport.write(b"".join(written))
                return self._after(gap_s, lambda: self._send_pieces(b"", pieces, gap_s))
        self.answering = not written[-1].endswith(LAST_CHUNK)
        self.transport.write(b"".join(written))

    # --- Embeddings
    def _embeddings(self, body: Json) -> None:
        texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
        if self._refused(self._note("embeddings", body)):
            return
        size = int(body.get("dimensions") or self.model.behaviour.dimension)
        vectors = [embedding(text if isinstance(text, str) else json.dumps(text), size) for text in texts]
        as_base64 = body.get("encoding_format") == "base64"
        coded = [base64.b64encode(vector.tobytes()).decode() if as_base64 else vector.tolist() for vector in vectors]
        data = [{"object": "embedding", "index": index, "embedding": value} for index, value in enumerate(coded)]
        used = sum(len(str(text)) for text in texts) // 4 + 1
        usage = {"prompt_tokens": used, "total_tokens": used}
        answer = {"object": "list", "model": body["model"], "data": data, "usage": usage}
        self._after(self.model.behaviour.embedding_ms / 1000, lambda: self._json(answer))

    # --- Reranking
    def _rerank(self, body: Json) -> None:
        """Best first, as such endpoints answer, by the part of the question's words that a text has."""
        if self._refused(self._note("rerank", body)):
            return
        asked = set(body["query"].casefold().split())
        scores = [len(asked & set(text.casefold().split())) / len(asked) for text in body["documents"]]
        results = [{"index": at, "relevance_score": score} for at, score in enumerate(scores)]
        results.sort(key=lambda result: -float(result["relevance_score"]))
        self._json({"id": "fake", "results": results[: body.get("top_n", len(results))], "meta": {}})

    # --- Writing
    def _after(self, delay_s: float, act: Callable[[], None]) -> None:
        if delay_s > 0:
            self.timer = self.loop.call_later(delay_s, act)
        else:
            act()

    def _json(self, answer: Json, *, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        self._send(json.dumps(answer).encode(), status=status, headers=headers)

    def _send(
        self, body: bytes, *, status: int = 200, headers: Mapping[str, str] | None = None, length: int | None = None
    ) -> None:
        size = len(body) if length is None else length
        lines = {"content-type": "application/json", "content-length": str(size), **(headers or {})}
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        self.transport.write(f"HTTP/1.1 {status} {_REASONS.get(status, 'Error')}\r\n{head}\r\n".encode() + body)


class FakeModelServer:
    """The fake on a thread of this process: a context manager. `base_url` is what an OpenAI client is given."""

    def __init__(self) -> None:
        self._address: str = ""
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="fake-model", daemon=True)

    @property
    def base_url(self) -> str:
        return f"{self._address}/v1"

    def configure(self, **changes: object) -> None:
        """Change fields of `Behaviour`; faults not named again are gone."""
        self._call("/__config", changes)

    def reset(self) -> None:
        self._call("/__reset", {})

    def counters(self) -> dict[str, int]:
        """How many calls of each kind (chat, stream, embeddings, rerank), faults, connections and abandoned answers."""
        return Counter(self._call("/__requests")["counters"])

    def requests(self) -> list[Json]:
        """The last calls, oldest first: `{"kind", "headers", "body"}`."""
        listed: list[Json] = self._call("/__requests")["requests"]
        return listed

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10), "the fake model server did not start"
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(timeout=10)

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        model = FakeModel()
        server, self._address = await start(model, port=0)
        self._ready.set()
        await self._stop.wait()
        server.close()
        while model.transports:  # of clients that keep them open
            for transport in list(model.transports):
                transport.abort()
            await asyncio.sleep(0)

    def _call(self, path: str, body: object = None) -> Json:
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(f"{self._address}{path}", data=data, timeout=10) as answer:  # noqa: S310 - our own address
            decoded: Json = json.load(answer)
        return decoded


async def start(model: FakeModel, *, port: int) -> tuple[asyncio.Server, str]:
    """Listen on the loopback; port 0 picks a free one. Gives the server and its address, `http://127.0.0.1:…`."""
    server = await asyncio.get_running_loop().create_server(
        lambda: ModelProtocol(model), "127.0.0.1", port, backlog=4096
    )
    return server, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def _main(port: int) -> None:
    server, address = await start(FakeModel(), port=port)
    print(f"{address}/v1", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A fake OpenAI-compatible model endpoint.")
    parser.add_argument("--port", type=int, default=0, help="0 picks a free one; the address is printed")
    uvloop.run(_main(parser.parse_args().port))
