"""The version of the code that runs, which an installation's metadata may be behind."""

__version__ = "0.13.0"
