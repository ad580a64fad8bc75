"""Built-in regularizers, one class a file, the file named after it."""
