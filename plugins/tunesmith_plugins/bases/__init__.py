"""The embedded base model."""
