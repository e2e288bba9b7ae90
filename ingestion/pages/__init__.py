"""Pages of PDFs as pictures, with the places of quotes on them."""
