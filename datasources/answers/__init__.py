"""Answers to questions that rules have understood, in sentences and tables."""
