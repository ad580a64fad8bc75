"""Built-in formatters, one class a file, the file named after it."""
