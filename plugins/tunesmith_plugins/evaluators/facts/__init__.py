"""Facts of a text: numbers with units, dates, names, drugs, citations, codes, each with its place."""
