"""How large a query becomes when the database writes subqueries into what reads them.

Databases put the expression of a subquery's column in each place where that column stands. A query of 500 characters
with five subqueries in each other, `x + x + x …` in each, takes gigabytes so before it runs, where no time limit acts.
"""

from collections.abc import Iterator, Mapping

from sqlglot import exp

from datasources.errors import QueryRefused

_LARGEST = 100_000  # parts of expressions: some 30 MB in SQLite


def check_expansion(statement: exp.Expr) -> None:
    """Return if *statement* stays small with its subqueries and CTEs written out.

    Raises:
        QueryRefused: it could not.
    """
    _count_parts(statement, {})


def _count_parts(query: exp.Expr, ctes: Mapping[str, int]) -> int:
    """The most parts that a column of *query* stands for."""
    weights = dict(ctes)
    named = query.args.get("with_") or query.args.get("with")
    for cte in named.expressions if named else ():
        weights[cte.alias.lower()] = _count_parts(cte.this, weights)
    inner = [_count_parts(each, weights) for each in _find_nested(query, named)]
    inner += [weights.get(table.name.lower(), 1) for table in query.find_all(exp.Table)]
    heaviest = max(inner, default=1)
    columns = query.expressions if isinstance(query, exp.Select) else []
    widest = max(map(_count, columns), default=1)
    aliases = {each.alias.lower() for each in columns if isinstance(each, exp.Alias)}
    # SQLite writes them out as well.
    uses = sum(1 for each in query.find_all(exp.Column) if each.name.lower() in aliases)
    if (_count(query) + uses * widest) * heaviest > _LARGEST:
        raise QueryRefused("Its subqueries use columns of one another too often: write it with fewer of them.")
    return widest * heaviest


def _find_nested(query: exp.Expr, named: exp.Expr | None) -> Iterator[exp.Expr]:
    """The queries in it, without those in them."""
    waiting = [each for each in query.iter_expressions() if each is not named]
    while waiting:
        node = waiting.pop()
        if isinstance(node, exp.Select | exp.SetOperation):
            yield node
        else:
            waiting.extend(node.iter_expressions())


def _count(part: exp.Expr) -> int:
    """The columns in *part*; one at least, for `*`."""
    return max(1, sum(1 for _ in part.find_all(exp.Column)))
