"""The HTTP edge and the operator's commands."""
