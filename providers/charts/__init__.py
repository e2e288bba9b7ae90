"""Pictures of charts, drawn in a process of the sandbox."""
