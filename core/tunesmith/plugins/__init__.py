"""The extension surface: what a plugin is, how it is found and checked."""
