"""Where files are kept: `FileStore` over a folder."""
