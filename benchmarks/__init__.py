"""One script a claim: figures in one run against a peer or a floor, printed and kept in `results/`."""
