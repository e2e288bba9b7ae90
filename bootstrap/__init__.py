"""Wiring: what the service is made of is made here, once, owned and closed."""
