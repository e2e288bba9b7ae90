"""Moving a whole installation between its embedded stores and the configured ones, without changing what it came from.

move           the whole of it: refuse, copy, compare; and what an interrupted move leaves behind
stores         which stores are moved, between which places, and how each is opened
records        SQL, in one transaction, at the very end
passages       the index, with its vectors
conversations  Redis, byte for byte, each with its end
report         what is said about it all
"""
