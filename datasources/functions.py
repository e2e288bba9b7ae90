"""The functions that a query may call, by dialect.

They read nothing but their arguments and the clock, and give no more than they take, or a little. What makes long texts
out of short ones (`repeat`, `printf`, `lpad`, `group_concat`) is left out: no time limit holds what one call can do.
"""

from typing import Literal

Dialect = Literal["sqlite", "postgres", "mysql"]
DIALECTS: dict[str, Dialect] = {"sqlite": "sqlite", "postgresql": "postgres", "mysql": "mysql", "upload": "sqlite"}
"""By the types of data sources."""

_COMMON = """
abs avg cast coalesce count cume_dist dense_rank first_value lag last_value lead length lower ltrim max min nth_value
ntile nullif percent_rank rank replace round row_number rtrim substr substring sum trim upper
"""
_SQLITE = "date datetime glob ifnull iif instr julianday like strftime time total typeof unixepoch"
_POSTGRES = """
age bool_and bool_or ceil char_length concat corr date_part date_trunc extract floor greatest initcap least left
make_date mode percentile_cont percentile_disc position right sign split_part stddev stddev_pop stddev_samp strpos
to_char trunc var_pop var_samp variance
"""
_MYSQL = """
adddate ceil ceiling char_length concat curdate current_date current_time current_timestamp curtime date date_add
date_format date_sub datediff day dayname dayofmonth dayofweek dayofyear extract floor greatest hour if ifnull instr
last_day least left locate makedate microsecond minute mod month monthname now pow power quarter right second sign sqrt
std stddev stddev_pop stddev_samp str_to_date strcmp subdate substring_index time timestamp timestampadd timestampdiff
to_days trunc truncate unix_timestamp utc_date utc_timestamp var_pop var_samp variance week weekday weekofyear year
"""
_KEYWORDS = """
all and any as between by case cube distinct else end escape except exists filter from group grouping having ilike in
inner intersect interval is join like limit materialized not offset on or order over partition rollup select sets
similar then union using when where with within
"""
FUNCTIONS: dict[Dialect, frozenset[str]] = {
    "sqlite": frozenset([*_COMMON.split(), *_SQLITE.split()]),
    "postgres": frozenset([*_COMMON.split(), *_POSTGRES.split()]),
    "mysql": frozenset([*_COMMON.split(), *_MYSQL.split()]),
}
KEYWORDS = frozenset(_KEYWORDS.split())
"""Words that stand before a parenthesis without being called."""
TYPES = frozenset({"char", "datetime", "decimal", "numeric", "varchar", "timestamp", "timestamptz", "time"})
"""Types that take a length, as varchar(20)."""
