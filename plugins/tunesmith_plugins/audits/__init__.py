"""Built-in audits, one class a file, the file named after it."""
