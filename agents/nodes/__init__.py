"""The steps of a turn, one file each: read the state, work with the run's context, return what changes."""
