"""Models that put passages in order: a file a wire format."""
