"""The command `lightning-cli`."""
