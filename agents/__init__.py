"""The answering agent: its graph, its nodes, and the runner that takes a conversation through a turn."""
