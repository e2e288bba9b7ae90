"""Questions in words to SQL by rules, without a language model.

Each content word has to be explained by the schema, what is said of it, a value in the data, a number or a known
operator, and all that was recognised has to be used. Else the question is refused, and the word named.
"""
