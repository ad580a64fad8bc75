"""Built-in evaluators, one class a file, the file named after it."""
