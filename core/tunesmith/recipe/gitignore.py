"""What git is to leave alone in a package that was written for a user: what building, testing and running it leaves."""

# Anchored where a folder of rows or code may have the name too.
GITIGNORE = """\
__pycache__/
*.egg-info/
.venv/
.hypothesis/
.mypy_cache/
.pytest_cache/
.ruff_cache/
/build/
/dist/
/runs/
"""
