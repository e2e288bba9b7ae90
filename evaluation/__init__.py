"""Whether questions are answered better or worse than before: sets of questions, what is measured, runs compared."""
