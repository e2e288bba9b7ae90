"""Serving HTTP: the ASGI bridge around Flask, connections, bodies, and a worker's end."""
