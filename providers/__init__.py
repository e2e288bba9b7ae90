"""Vendors and models behind the ports of `utils/ports.py`, a file each."""
