"""Text recognition in pictures: `chosen.py` says which one this machine has."""
