"""The evidence: generate, measure, compare, decide, report."""
