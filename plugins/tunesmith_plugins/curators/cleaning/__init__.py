"""What `Clean` does to a text, part by part: each a function from a text to a text, and none knows of examples."""
