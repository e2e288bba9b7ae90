"""Questions to databases: sources, their schemas, and the two checks that each query has to pass."""
