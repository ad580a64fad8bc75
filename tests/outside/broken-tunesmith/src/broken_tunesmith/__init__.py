"""Needs a library that is not installed, as packages of another year do."""

from a_library_that_is_not_installed import anything  # noqa: F401
