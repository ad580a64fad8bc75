"""What `Anonymise` is made of: finders of identities, what takes their place, and how to get them back."""
