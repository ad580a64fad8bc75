"""What may be searched over in a recipe, and what is learned from the trials."""
