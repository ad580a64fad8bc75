"""Writes new plugin packages. `templates/` holds their files, as they are for a class called `MyPlugin`."""
