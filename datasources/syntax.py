"""The parts of SQL that a query may be made of; for functions, the name by which `functions.py` lists them."""

from sqlglot import exp

NODES: dict[type[exp.Expr], str] = {
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
GROWING = (exp.DPipe, exp.Concat, exp.Replace)
"""These make longer texts: in a few steps, each of which doubles one, a short one fills the memory."""
_SELECT_ARGS = """
with_ this expression expressions distinct from_ joins where group having windows order limit offset alias by_name
"""
SELECT_ARGS = frozenset(_SELECT_ARGS.split())
TABLE_ARGS = frozenset({"this", "db", "catalog", "alias", "joins"})
_T = exp.DataType.Type
CASTS = frozenset(
    {
        _T.BIGINT, _T.INT, _T.SMALLINT, _T.TINYINT, _T.DECIMAL, _T.DOUBLE, _T.FLOAT, _T.TEXT, _T.VARCHAR, _T.CHAR,
        _T.BOOLEAN, _T.DATE, _T.TIME, _T.TIMESTAMP, _T.TIMESTAMPTZ, _T.DATETIME, _T.INTERVAL,
    }
)  # fmt: skip
