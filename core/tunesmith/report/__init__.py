"""Pages that show what was found: numbers first, as plain data, then HTML that is a function of them."""
