"""Figures of an answer held to the results of queries: each stands in a cell of the row that is spoken of, or follows
from cells; else it is marked."""
