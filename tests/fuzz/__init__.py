"""Random texts for what reads them in native code; `python -m tests.fuzz --minutes 60`."""
