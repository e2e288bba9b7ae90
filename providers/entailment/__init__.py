"""Models that say whether a passage supports a sentence: a file a runtime."""
