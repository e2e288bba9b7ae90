"""The records: tenants, keys, documents and their chunks, in SQL."""
