"""`flask eval`: how well questions are answered, against floors and against the run before."""

import asyncio
import json
import sys
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import click
from flask.cli import with_appcontext
from pydantic import SecretStr
from tqdm import tqdm

from auth.operators import make_operator
from auth.principal import Principal
from bootstrap.evaluation import Askers, Service
from cli.operator import announce_stores, get_settings, json_option, tenant_option
from config import Settings
from evaluation.cases import QuestionSet, load_set
from evaluation.measures import find_missed_floors
from evaluation.reports import describe_difference, make_table
from evaluation.runs import Run, RunComparison, compare, find_last_run, keep, run_set
from utils.errors import ProblemError


@dataclass(frozen=True, slots=True)
class _Outcome:
    run: Run
    comparison: RunComparison | None
    missed: Sequence[str]


@click.command("eval")
@click.argument("sets", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="SET...")
@click.option("--answers", is_flag=True, help="Ask for answers too, not for passages alone.")
@click.option("--against", type=click.Choice(["last"]), help="Compare with the last run of the same set.")
@click.option("--url", help="A running service to ask, such as http://localhost:8000.")
@click.option("--key", envvar="API_KEY", help="The key it is asked with. Default: API_KEY.")
@tenant_option(help="Whose documents, without --url.")
@json_option
@with_appcontext
def evaluate(
    sets: tuple[Path, ...],
    answers: bool,
    against: str | None,
    url: str | None,
    key: str | None,
    tenant: str,
    as_json: bool,
) -> None:
    """Measure the question sets SET...: YAML or JSONL files, or public sets beside their corpus.

    Runs are kept in DATA_DIR/evaluations. Exit code 1 when a floor that a set gives is missed.
    """
    if url and not key:
        raise click.UsageError("--url needs --key, or API_KEY.")
    announce_stores()
    service = Service(url.rstrip("/"), SecretStr(key or "")) if url else None
    try:
        loaded = [load_set(path) for path in sets]
        ctx = make_operator(tenant)
        outcomes = asyncio.run(_measure(get_settings(), loaded, ctx, service, answers=answers, against=against))
    except ProblemError as error:
        raise click.ClickException(error.detail) from error
    click.echo(json.dumps([_make_json(each) for each in outcomes]) if as_json else "\n\n".join(map(_format, outcomes)))
    if any(outcome.missed for outcome in outcomes):
        sys.exit(1)


async def _measure(
    settings: Settings,
    sets: Sequence[QuestionSet],
    ctx: Principal,
    service: Service | None,
    *,
    answers: bool,
    against: str | None,
) -> list[_Outcome]:
    folder = settings.data_dir / "evaluations"
    async with AsyncExitStack() as stack:
        askers = Askers(stack, settings, ctx, service, answers=answers)
        return [await _measure_one(askers, each, folder, answers=answers, against=against) for each in sets]


async def _measure_one(
    askers: Askers, questions: QuestionSet, folder: Path, *, answers: bool, against: str | None
) -> _Outcome:
    mode = "answers" if answers else "retrieval"
    steps = len(questions.corpus) + len(questions.cases)
    with tqdm(total=steps, desc=questions.name, leave=False, disable=not sys.stderr.isatty()) as bar:
        advance: Callable[[int], object] = bar.update
        async with askers.open_for_set(questions, advance) as asker:
            run = await run_set(questions, asker, mode=mode, progress=partial(advance, 1))
    before = find_last_run(folder, name=run.name, mode=mode) if against else None
    keep(folder, run)
    comparison = compare(before, run) if before else None
    return _Outcome(run, comparison, find_missed_floors(run.figures, questions.floors))


def _make_json(outcome: _Outcome) -> dict[str, object]:
    comparison = asdict(outcome.comparison) if outcome.comparison else None
    return {**outcome.run.as_json(), "against": comparison, "missed_floors": list(outcome.missed)}


def _format(outcome: _Outcome) -> str:
    parts = [f"{outcome.run.name}, {len(outcome.run.rows)} questions, {outcome.run.mode}", make_table(outcome.run)]
    if outcome.comparison:
        parts.append(describe_difference(outcome.comparison))
    parts += [f"Missed floor: {line}" for line in outcome.missed]
    return "\n".join(parts)
