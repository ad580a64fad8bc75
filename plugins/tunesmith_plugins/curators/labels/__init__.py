"""The parts of `LabelErrors`: what other rows say of a label, and whose label is likely wrong."""
