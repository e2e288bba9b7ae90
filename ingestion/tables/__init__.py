"""Tables in files, for data sources: CSV, XLSX and Parquet, read in the sandbox, with the types of their columns."""
