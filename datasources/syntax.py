"""The parts of SQL that a query may be made of, and the check that it has no others."""

import re

from sqlglot import exp

from datasources.errors import QueryRefused
from datasources.functions import FUNCTIONS, Dialect

_MAX_NODES, _MAX_GROWING = 4_000, 8
_LONGEST_NAME = 63  # bytes: PostgreSQL cuts longer ones
_PLAIN_WORDS = re.compile(r"[A-Za-z_ ]{0,40}")
# For functions, the name by which `functions.py` lists them.
_NODES: dict[type[exp.Expr], str] = {
    **dict.fromkeys(
        (
            exp.Select, exp.Union, exp.Intersect, exp.Except, exp.Subquery, exp.With, exp.CTE, exp.From, exp.Join,
            exp.Where, exp.Group, exp.Having, exp.Order, exp.Ordered, exp.Limit, exp.Offset, exp.Distinct, exp.Rollup,
            exp.Cube, exp.GroupingSets, exp.Table, exp.TableAlias, exp.Column, exp.Identifier, exp.Literal, exp.Star,
            exp.Alias, exp.Boolean, exp.Null, exp.Paren, exp.Tuple, exp.Var, exp.DataType, exp.DataTypeParam,
            exp.Interval, exp.AtTimeZone, exp.Window, exp.WindowSpec, exp.Filter, exp.WithinGroup,
            exp.And, exp.Or, exp.Not, exp.Neg, exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.Is, exp.In,
            exp.Between, exp.Like, exp.ILike, exp.Glob, exp.Escape, exp.Exists, exp.Any, exp.All, exp.NullSafeEQ,
            exp.NullSafeNEQ, exp.Add, exp.Sub, exp.Mul, exp.Div, exp.Mod, exp.DPipe, exp.Case, exp.If,
            exp.CurrentDate, exp.CurrentTimestamp, exp.CurrentTime,
        ),
        "",
    ),
    exp.Cast: "cast", exp.Count: "count", exp.Sum: "sum", exp.Avg: "avg", exp.Min: "min", exp.Max: "max",
    exp.Abs: "abs", exp.Round: "round", exp.Coalesce: "coalesce", exp.Nullif: "nullif", exp.Lower: "lower",
    exp.Upper: "upper", exp.Length: "length", exp.Substring: "substring", exp.Trim: "trim", exp.Replace: "replace",
    exp.RowNumber: "row_number", exp.Rank: "rank", exp.DenseRank: "dense_rank", exp.PercentRank: "percent_rank",
    exp.CumeDist: "cume_dist", exp.Ntile: "ntile", exp.Lag: "lag", exp.Lead: "lead",
    exp.FirstValue: "first_value", exp.LastValue: "last_value", exp.NthValue: "nth_value",
    exp.StrPosition: "substring", exp.TimeToStr: "substring", exp.TsOrDsToTimestamp: "cast", exp.Date: "substring",
    exp.TimestampTrunc: "date_trunc", exp.DateTrunc: "date_trunc", exp.Extract: "extract", exp.Greatest: "max",
    exp.Least: "min", exp.Floor: "floor", exp.Ceil: "ceil", exp.Concat: "concat", exp.Left: "left",
    exp.Right: "right", exp.Sign: "sign", exp.Initcap: "initcap", exp.SplitPart: "split_part",
    exp.Stddev: "stddev", exp.StddevPop: "stddev_pop", exp.StddevSamp: "stddev_samp", exp.Variance: "variance",
    exp.VariancePop: "var_pop", exp.PercentileCont: "percentile_cont", exp.PercentileDisc: "percentile_disc",
    exp.Year: "year", exp.Month: "month", exp.Day: "day", exp.DayOfMonth: "dayofmonth", exp.DayOfWeek: "dayofweek",
    exp.DayOfYear: "dayofyear", exp.Hour: "hour", exp.Minute: "minute", exp.Second: "second", exp.Quarter: "quarter",
    exp.Week: "week", exp.WeekOfYear: "weekofyear", exp.Dayname: "dayname", exp.LastDay: "last_day",
    exp.DateDiff: "datediff", exp.TimestampDiff: "timestampdiff", exp.TimestampAdd: "timestampadd",
    exp.DateAdd: "date_add", exp.DateSub: "date_sub", exp.TsOrDsToDate: "date", exp.StrToDate: "str_to_date",
    exp.Timestamp: "timestamp", exp.Pow: "pow", exp.Sqrt: "sqrt", exp.IntDiv: "mod",
    exp.SubstringIndex: "substring_index", exp.UtcDate: "utc_date", exp.UtcTimestamp: "utc_timestamp",
    exp.Mode: "mode", exp.Corr: "corr", exp.LogicalAnd: "bool_and", exp.LogicalOr: "bool_or", exp.Trunc: "trunc",
}  # fmt: skip
"""What is not here is refused."""
_GROWING = (exp.DPipe, exp.Concat, exp.Replace)
"""These make longer texts: in a few steps, each of which doubles one, a short one fills the memory."""
_SELECT_WORDS = """
with_ this expression expressions distinct from_ joins where group having windows order limit offset alias by_name
"""
_SELECT_ARGS = frozenset(_SELECT_WORDS.split())
_TABLE_ARGS = frozenset({"this", "db", "catalog", "alias", "joins"})
_T = exp.DataType.Type
_CASTS = frozenset(
    {
        _T.BIGINT, _T.INT, _T.SMALLINT, _T.TINYINT, _T.DECIMAL, _T.DOUBLE, _T.FLOAT, _T.TEXT, _T.VARCHAR, _T.CHAR,
        _T.BOOLEAN, _T.DATE, _T.TIME, _T.TIMESTAMP, _T.TIMESTAMPTZ, _T.DATETIME, _T.INTERVAL,
    }
)  # fmt: skip


def check_nodes(statement: exp.Expr, dialect: Dialect) -> None:
    """Return if *statement* has allowed parts alone, and not too many.

    Raises:
        QueryRefused: it has others.
    """
    count = growing = 0
    for node in statement.walk():
        count, growing = count + 1, growing + isinstance(node, _GROWING)
        if count > _MAX_NODES or growing > _MAX_GROWING:
            raise QueryRefused("The query is too large, or joins too many texts.")
        _check_node(node, dialect)


def _check_node(node: exp.Expr, dialect: Dialect) -> None:
    kind = type(node)
    if isinstance(node, exp.Anonymous):
        _check_function(str(node.this), dialect)
    elif kind not in _NODES:
        raise QueryRefused(f"{_name(node)} is not allowed.")
    elif isinstance(node, exp.Func) and _NODES[kind]:
        _check_function(_NODES[kind], dialect)
    if isinstance(node, exp.DataType) and (node.this not in _CASTS or node.args.get("nested")):
        raise QueryRefused("A value can be cast to a number, a text, a truth value, a date or a time only.")
    if isinstance(node, exp.With) and node.args.get("recursive"):
        raise QueryRefused("WITH RECURSIVE is not allowed.")
    _check_args(node)


def _check_args(node: exp.Expr) -> None:
    allowed = _SELECT_ARGS if isinstance(node, exp.Query) else _TABLE_ARGS if isinstance(node, exp.Table) else None
    for key, value in node.args.items():
        if value in (None, False, []):
            continue
        if allowed is not None and key not in allowed:
            raise QueryRefused(f"{key.strip('_').upper()} is not allowed.")
        is_word = isinstance(value, str) and not isinstance(node, exp.Identifier | exp.Literal | exp.Anonymous)
        if is_word and not _PLAIN_WORDS.fullmatch(value):
            raise QueryRefused(f"{value[:40]!r} is not allowed.")
        if isinstance(node, exp.Limit | exp.Offset) and key != "expression":
            raise QueryRefused("LIMIT and OFFSET take a number.")


def _check_function(name: str, dialect: Dialect) -> None:
    if name.lower() not in FUNCTIONS[dialect]:
        raise QueryRefused(f"The function {name.lower()[:60]!r} is not allowed.")


def _name(node: exp.Expr) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(node).__name__).upper()


def fold_names(statement: exp.Expr, dialect: Dialect) -> None:
    """Write each name as the database reads it.

    Raises:
        QueryRefused: one is too long.
    """
    for name in statement.find_all(exp.Identifier):
        text = str(name.this)
        if "\0" in text or not text or len(text.encode("utf-8", "replace")) > _LONGEST_NAME:
            raise QueryRefused(f"A name has 1 to {_LONGEST_NAME} bytes.")
        if dialect == "postgres" and not name.args.get("quoted"):
            name.set("this", lower(text))
            name.set("quoted", True)


def lower(text: str) -> str:
    """In small letters, as databases do it: those of ASCII alone."""
    return text.translate({code: code + 32 for code in range(65, 91)})


def quote(name: str) -> exp.Identifier:
    """A name, in quotation marks."""
    return exp.Identifier(this=name, quoted=True)
