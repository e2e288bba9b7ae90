"""Three planners against the same 60 questions: rules, native calls of tools, and decisions in JSON.

    python -m benchmarks.planners                                   rules; the others with a fake model
    python -m benchmarks.planners --model-url URL --model NAME      the others with a real model

A decision is right if it is the expected call with the expected arguments; where an argument was not said, if nothing
is called. `made_up` counts calls that nobody asked for, or with other arguments: the worst that can happen. The fake
model always decides rightly, so its figures show only that both ways bring a decision through as it was made.
"""

import argparse
import asyncio
import json
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import yaml
from langchain_core.messages import HumanMessage
from pydantic import SecretStr

from agents.bots import BotConfig
from agents.tools.planner import Decision, Planner
from agents.tools.registry import ToolRegistry
from agents.tools.rule_planner import RulePlanner
from agents.tools.search import make_search_tool
from agents.tools.state import load_state
from agents.tools.tool import Tool
from auth.operators import make_operator
from auth.principal import DEFAULT_TENANT
from benchmarks.machine import describe_machine
from benchmarks.planner_tools import make_tools
from bootstrap.services import Services, open_services
from config import SAMPLES, Settings
from providers.chat.openai import open_chat_model
from tests.fakes.model_server import FakeModelServer

Question = dict[str, Any]
Decide = Callable[[str], Awaitable[Decision]]
HERE = Path(__file__).parent
CTX = make_operator(DEFAULT_TENANT)
_PASSAGES = 3  # as `agents/nodes/plan.py` looks at


def read_questions() -> list[Question]:
    """Those of `planner_questions.yaml`."""
    questions: list[Question] = yaml.safe_load((HERE / "planner_questions.yaml").read_text("utf-8"))
    return questions


def by_rules(services: Services, tools: Sequence[Tool]) -> Decide:
    """As a turn without a language model decides."""
    rules = RulePlanner()

    async def decide(question: str) -> Decision:
        found = await services.retriever.search(CTX, question, limit=_PASSAGES)
        evidence = found.verdict.evidence
        return await rules.decide(question, tools, services.retriever.embedder, document_evidence=evidence)

    return decide


async def by_model(stack: AsyncExitStack, url: str, name: str, tools: Sequence[Tool], planner: Planner) -> Decide:
    """As a turn with the language model *name* at *url* decides."""
    chat = await open_chat_model(base_url=url, api_key=SecretStr("none"), model=name, temperature=0.0)
    stack.push_async_callback(chat.aclose)

    async def decide(question: str) -> Decision:
        return await planner.decide(chat, BotConfig(), [HumanMessage(question)], tools, load_state(None, "run"), [])

    return decide


async def measure(decide: Decide, questions: Sequence[Question]) -> dict[str, Any]:
    """How many decisions are right, by kind; and which are not."""
    right: Counter[str] = Counter()
    asked: Counter[str] = Counter()
    made_up, wrong = 0, []
    for question in questions:
        expected = (question["tool"], question["arguments"]) if "tool" in question else None
        kind = "tool" if expected else str(question["do"])
        decision = await decide(question["question"])
        calls = [(call.name, call.arguments) for call in decision.calls if call.name != "search_documents"]
        is_right = calls == ([expected] if expected else [])
        asked[kind] += 1
        right[kind] += is_right
        made_up += bool(calls) and not is_right
        if not is_right:
            wrong.append({"question": question["question"], "decided": calls or decision.kind})
    return {"right": right.total(), "of": asked.total(), "by_kind": dict(right), "made_up": made_up, "wrong": wrong}


def expect(question: Question) -> list[Any]:
    """What the fake model decides about *question*."""
    return [[{"tool": question["tool"], "arguments": question["arguments"]}]] if "tool" in question else ["DOCUMENTS"]


async def run(model_url: str, model: str) -> dict[str, Any]:
    """All of them."""
    questions = read_questions()
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        settings = Settings(_env_file=None, data_dir=folder, knowledge_dir=SAMPLES, streamlit_enabled=False)  # type: ignore[call-arg]  # pydantic-settings' own
        services = await stack.enter_async_context(open_services(settings))
        await services.background.loaded
        while services.monitor.count_pending():
            await asyncio.sleep(1)
        tools = ToolRegistry([make_search_tool(lambda: services.retriever), *make_tools()]).choose(
            tool.name for tool in make_tools()
        )
        found = {"rules": await measure(by_rules(services, tools), questions)}
        fake = None
        if not model_url:
            fake = stack.enter_context(FakeModelServer())
            fake.configure(plans={question["question"]: expect(question) for question in questions})
            model_url, model = fake.base_url, "fake"
        native, in_json = Planner(), Planner(is_native=False)
        for name, planner in (("native", native), ("json", in_json)):
            found[name] = await measure(await by_model(stack, model_url, model, tools, planner), questions)
        return {"machine": describe_machine(), "model": "fake, always right" if fake else model, **found}


def main() -> None:
    """Measure, print, and write the results of the fake model down."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model-url", default="", help="an OpenAI-compatible endpoint; left out: a fake model")
    parser.add_argument("--model", default="", help="the name of its model")
    asked = parser.parse_args()
    found = asyncio.run(run(asked.model_url, asked.model))
    text = json.dumps(found, indent=2, ensure_ascii=False)
    print(text)
    if not asked.model_url:
        (HERE / "results" / "planners.json").write_text(text + "\n", "utf-8")


if __name__ == "__main__":
    main()
