"""A tenant's documents as a file, with their vectors: written, read, and taken in by another tenant or installation."""
