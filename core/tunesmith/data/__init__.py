"""From sources to batches: rows, examples, curators, splits, encodings, ragged batches and their loader."""
