"""Finding passages: the index port, its adapters, lexical terms and the fusion of both rankings."""
