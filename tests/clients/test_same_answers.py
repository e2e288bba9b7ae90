"""One question, one answer: on a website, on the pages of the chat, over the API, for clients of OpenAI and of MCP."""

import re
from collections.abc import Iterator, Mapping
from typing import Any
from uuid import uuid4

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.api.conftest import connect
from tests.clients.browser_page import ask as ask_on_the_page
from tests.clients.browser_page import questions, running_page
from tests.clients.website import Website, serve_website
from tests.conftest import PAGE_KEY
from tests.service import Service, ask, await_vectors

pytestmark = [pytest.mark.browser, pytest.mark.first, pytest.mark.long, pytest.mark.timeout(900)]  # 20 questions each
ABSENT, GREETING = "Who won the chess championship of Iceland in 1987?", "Hello!"
QUESTIONS = [
    "How much does a dormitory room cost?",
    "Do I have to pay a deposit for my room?",
    "How do I apply for a place in a dormitory?",
    "How do I book a laboratory?",
    "When are exams graded?",
    "What must I wear in the laboratory?",
    "What happens if I am ill on the day of an examination?",
    "How long are student records kept?",
    "When do I have to pay tuition?",
    "¿Cómo pido una beca?",
    "¿Dónde está el centro de salud?",
    "¿Cómo se pide el reembolso de un viaje?",
    "¿Qué cubre el seguro de estudiantes?",
    "Berapa biaya kuliah per semester?",
    "Bagaimana cara mendaftar?",
    "Apa yang harus saya lakukan kalau kartu mahasiswa hilang?",
    "Kapan semester ganjil dimulai?",
    "Berapa tarif parkir sepeda motor?",
    ABSENT,
    GREETING,
]
Told = Mapping[str, Any]


@pytest.fixture(scope="module")
def site() -> Iterator[Website]:
    """A website at an origin of its own."""
    with serve_website() as running:
        yield running


@pytest.fixture(scope="module")
def bot_id(site: Website, service: Service) -> str:
    """A bot of the default tenant, open to visitors of the website and of the service's own page."""
    bot = {"id": f"b{uuid4().hex}", "name": "Helper", "allowed_origins": [site.url, service.url]}
    with service.client() as owner:
        made = owner.post("/v1/tenant/bots", json=bot).raise_for_status().json()
    site.api, site.attributes = service.url, f'data-bot="{made["public_id"]}"'
    return bot["id"]  # type: ignore[return-value]  # of values of two types


@pytest.fixture(scope="module")
def told(bot_id: str, service: Service) -> Mapping[str, Told]:
    """What the API answers, by question, when nothing is left to be indexed of what other tests brought."""
    await_vectors(service)
    with service.client() as client:
        answers = {each: ask(client, each, uuid4().hex, bot_id=bot_id).json() for each in QUESTIONS}
    assert [answer["degraded"] for answer in answers.values()] == [None] * len(QUESTIONS)
    assert [each for each, answer in answers.items() if not answer["answered"]] == [ABSENT]
    assert [each for each, answer in answers.items() if not answer["citations"]] == [ABSENT, GREETING]
    return answers


@pytest.fixture
def tab(chromium: Browser) -> Iterator[Page]:
    """A new visitor's tab."""
    with chromium.new_context(locale="en-GB") as context:
        yield context.new_page()


def read_words(text: str) -> str:
    """The letters and figures of an answer, without its marks and without what sets them in bold or in a list.

    Without spaces, too: cells of a table have none between them.
    """
    return "".join(re.findall(r"\w+", re.sub(r"\[[\d, ]+\]|^\s*\d+\. ", " ", text, flags=re.MULTILINE)))


def list_words(told: Mapping[str, Told]) -> dict[str, tuple[str, int]]:
    """For each question the words of the answer, and how many sources it has."""
    return {each: (read_words(answer["answer"]), len(answer["citations"])) for each, answer in told.items()}


def ask_the_widget(tab: Page, question: str) -> tuple[str, int]:
    """The words of the answer in a conversation of its own, and how many sources it has."""
    chat = tab.locator("pustaka-chat")
    chat.get_by_role("button", name="New conversation").click()
    expect(chat.locator("article")).to_have_count(0)
    chat.get_by_placeholder("Ask a question").fill(question)
    tab.keyboard.press("Enter")
    expect(chat.locator("[aria-live] p").last).to_contain_text("The answer is complete:")
    words = chat.locator(".text").evaluate(
        """text => {
            const copy = text.cloneNode(true);
            copy.querySelectorAll(".mark").forEach(mark => mark.replaceWith(" "));
            return [...copy.children].map(block => [...block.childNodes].map(e => e.textContent).join(" ")).join(" ");
        }"""
    )
    return read_words(words), chat.locator("details[data-number]").count()


def ask_streamlit(tab: Page, question: str) -> tuple[str, int]:
    """The same of the Streamlit page."""
    tab.get_by_role("button", name="New chat").click()
    expect(questions(tab)).to_have_count(0)
    ask_on_the_page(tab, question)
    expect(questions(tab)).to_have_text([question])
    answer = tab.get_by_label("Chat message from assistant")
    expect(answer).to_have_count(1)
    expect(tab.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning")
    words = answer.get_by_test_id("stMarkdown").first.inner_text()
    return read_words(words), answer.locator("[class*='st-key-source-'] details").count()


def test_a_website_shows_the_same_answers(tab: Page, site: Website, told: Mapping[str, Told]) -> None:
    tab.goto(site.url)
    tab.get_by_role("button", name="Open the chat").click()
    assert {each: ask_the_widget(tab, each) for each in QUESTIONS} == list_words(told)


def test_the_widgets_own_page_shows_the_same_answers(
    tab: Page, service: Service, bot_id: str, told: Mapping[str, Told]
) -> None:
    tab.goto(f"{service.url}/chat?bot=default/{bot_id}")
    assert {each: ask_the_widget(tab, each) for each in QUESTIONS} == list_words(told)


def test_the_chat_page_shows_the_same_answers(
    tab: Page, service: Service, told: Mapping[str, Told], tmp_path_factory: pytest.TempPathFactory
) -> None:
    with running_page(tmp_path_factory.mktemp("page"), service.url, api_key=PAGE_KEY) as url:
        tab.goto(url)
        assert {each: ask_streamlit(tab, each) for each in QUESTIONS} == list_words(told)


def test_clients_of_openai_get_the_same_answers(service: Service, bot_id: str, told: Mapping[str, Told]) -> None:
    with connect(service, service.key) as openai:
        for question, answer in told.items():
            said = openai.chat.completions.create(model=bot_id, messages=[{"role": "user", "content": question}])
            assert said.choices[0].message.content == answer["answer"]


def test_clients_of_mcp_get_the_same_answers(client: httpx.Client, bot_id: str, told: Mapping[str, Told]) -> None:
    for question, answer in told.items():
        call = {"name": "ask", "arguments": {"question": question, "bot_id": bot_id}}
        body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call}
        got = client.post("/v1/mcp", json=body).json()["result"]["structuredContent"]
        quotes = [each["quote"] for each in got["citations"]]
        assert (got["answer"], quotes) == (answer["answer"], [each["quote"] for each in answer["citations"]])
