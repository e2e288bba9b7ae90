"""A browser tab without a browser: Streamlit's protocol over its WebSocket, for what many visitors do at once."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.sync.client import ClientConnection, connect


class PageSocket:
    """A session of the chat page; `texts` are the words of everything that was drawn in the last run of its script."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self.texts: list[str] = []
        self._buttons: dict[str, str] = {}
        self._chat_input = self._query = ""
        response = socket.response
        self.set_cookies = response.headers.get_all("set-cookie") if response else []

    def run(self, query: str = "") -> None:
        """Open the page, with what stands after the `?` of its address."""
        self._query = query
        self._send(BackMsg())

    def ask(self, question: str) -> None:
        """Ask a question as the page's own box does, and wait until the page has drawn what came of it."""
        message = BackMsg()
        state = message.rerun_script.widget_states.widgets.add()
        state.id = self._chat_input
        state.chat_input_value.data = question
        self._send(message, question)

    def choose(self, question: str) -> None:
        """Press the button of a question, and let another message of the browser follow at once."""
        message, other = BackMsg(), BackMsg()
        state = message.rerun_script.widget_states.widgets.add()
        state.id, state.trigger_value = self._buttons[question], True
        message.rerun_script.query_string = other.rerun_script.query_string = self._query
        self._socket.send(message.SerializeToString())
        self._send(other, question)

    def replay(self, sent: Sequence[bytes]) -> None:
        """Send what the browser of another tab has *sent*."""
        for frame in sent:
            message = BackMsg()
            message.ParseFromString(frame)
            message.rerun_script.ClearField("fragment_id")  # there may be no such part of the page here
            self._send(message)

    def _send(self, message: BackMsg, shown: str = "") -> None:
        """Run the script, until it has drawn *shown* and come to its end; it may be begun again on the way."""
        message.rerun_script.query_string = self._query
        self._socket.send(message.SerializeToString())
        self.texts = []
        while True:
            told = ForwardMsg()
            told.ParseFromString(bytes(self._socket.recv(timeout=60, decode=False)))
            kind = told.WhichOneof("type")
            if kind == "delta":
                self._note(told.delta.new_element)
            elif kind == "page_info_changed":
                self._query = told.page_info_changed.query_string
            is_over = kind == "script_finished" and told.script_finished == ForwardMsg.FINISHED_SUCCESSFULLY
            if is_over and (not shown or shown in self.texts):
                return

    def _note(self, element: Any) -> None:
        kind = element.WhichOneof("type")
        if kind == "chat_input":
            self._chat_input = element.chat_input.id
        elif kind in ("markdown", "text", "alert", "heading"):
            self.texts.append(getattr(element, kind).body)
        elif kind == "button":
            self.texts.append(element.button.label)
            self._buttons[element.button.label.replace("\\", "")] = element.button.id


@contextmanager
def opened_page(url: str, headers: Mapping[str, str] | None = None, query: str = "") -> Iterator[PageSocket]:
    """A session of the page at *url*, whose script has run once."""
    address = url.replace("http", "ws", 1) + "/_stcore/stream"
    with connect(address, additional_headers=dict(headers or {}), proxy=None, max_size=None) as socket:
        page = PageSocket(socket)
        page.run(query)
        yield page
