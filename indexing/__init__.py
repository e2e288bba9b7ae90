"""The life of an index: filled from SQL, checked, switched to, compared, exported."""
