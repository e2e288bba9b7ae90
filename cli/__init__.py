"""The operator's commands: `flask …`."""
