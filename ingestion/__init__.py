"""From files to passages: parsers, chunking, loading, and the indexer that keeps the index in step with SQL."""
