"""What a recipe may say and whether to trust it."""
