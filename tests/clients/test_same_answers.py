"""One question, one answer: in the chat of a website, over the API, and for clients of OpenAI's."""

import re
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.api.conftest import connect
from tests.clients.website import Website, serve_website
from tests.service import Service, ask

pytestmark = [pytest.mark.browser, pytest.mark.long]
QUESTIONS = [
    "How much does a dormitory room cost?",
    "Do I have to pay a deposit for my room?",
    "How do I apply for a place in a dormitory?",
    "How do I book a laboratory?",
    "When are exams graded?",
    "¿Cómo pido una beca?",
    "¿Dónde está el centro de salud?",
    "Berapa biaya kuliah per semester?",
    "Who won the chess championship of Iceland in 1987?",
    "Hello!",
]


@pytest.fixture
def site(service: Service, client: httpx.Client) -> Iterator[Website]:
    """A website with a bot of the default tenant."""
    with serve_website() as running:
        bot = {"id": f"b{uuid4().hex}", "name": "Helper", "allowed_origins": [running.url]}
        made = client.post("/v1/tenant/bots", json=bot).json()
        running.api, running.attributes = service.url, f'data-bot="{made["public_id"]}"'
        yield running


def read_words(text: str) -> list[str]:
    """The words of an answer, without its marks and without what sets them in bold or in a list."""
    return re.findall(r"\w+", re.sub(r"\[[\d, ]+\]", " ", text))


def ask_on_the_website(tab: Page, question: str) -> tuple[list[str], int]:
    """The words of the answer in a conversation of its own, and how many sources it has."""
    chat = tab.get_by_role("dialog")
    chat.get_by_role("button", name="New conversation").click()
    expect(tab.locator("pustaka-chat article")).to_have_count(0)
    chat.get_by_placeholder("Ask a question").fill(question)
    tab.keyboard.press("Enter")
    expect(tab.locator("pustaka-chat [aria-live] p").last).to_contain_text("The answer is complete:")
    words = tab.locator("pustaka-chat .text").evaluate(
        """text => {
            const copy = text.cloneNode(true);
            copy.querySelectorAll(".mark").forEach(mark => mark.replaceWith(" "));
            return [...copy.children].map(block => [...block.childNodes].map(e => e.textContent).join(" ")).join(" ");
        }"""
    )
    return read_words(words), tab.locator("pustaka-chat details").count()


def test_ten_questions_get_the_same_answers_on_a_website_over_the_api_and_by_openais_client(
    chromium: Browser, site: Website, service: Service, client: httpx.Client
) -> None:
    bot_id = site.attributes.partition("/")[2].rstrip('"')
    with chromium.new_context(locale="en-GB") as context, connect(service, service.key) as openai:
        tab = context.new_page()
        tab.goto(site.url)
        tab.get_by_role("button", name="Open the chat").click()
        for question in QUESTIONS:
            told: dict[str, Any] = ask(client, question, uuid4().hex, bot_id=bot_id).json()
            said = openai.chat.completions.create(model=bot_id, messages=[{"role": "user", "content": question}])
            assert said.choices[0].message.content == told["answer"]
            assert ask_on_the_website(tab, question) == (read_words(told["answer"]), len(told["citations"])), question
