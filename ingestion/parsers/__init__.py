"""Files to text with headings and pages, one module a format; `kinds.py` tells formats apart."""
