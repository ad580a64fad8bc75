"""Built-in adapters, one class a file, the file named after it."""
