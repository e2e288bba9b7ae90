"""Leaf helpers: nothing here imports another package of ours."""
