"""The texts the service speaks to models and people with, and how they are rendered."""
