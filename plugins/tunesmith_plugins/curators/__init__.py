"""Built-in curators, one class a file, the file named after it."""
