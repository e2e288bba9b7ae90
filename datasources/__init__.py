"""Questions to databases: sources, their schemas, and the two walls that each query has to pass."""
