"""Built-in objectives, one class a file, the file named after it."""
