"""The indexes of an installation: opened, switched between, and looked after."""
