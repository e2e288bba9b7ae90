"""What a text states that can be compared by value: numbers, dates, names, and what it negates (en, es, id)."""
