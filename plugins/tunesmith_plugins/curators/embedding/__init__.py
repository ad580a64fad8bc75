"""Texts as vectors, for curators that compare meanings: by a model in a local folder, never from the net."""
