"""Why a path is no file that can be read: a device that is said not to exist sends its user the wrong way."""

from pathlib import Path

ABSENT = "does not exist"
FOLDER = "is a folder"
LINK = "is a link that leads to no file"
_OTHER = "is no regular file but a device, a pipe or a socket"


def why_no_file(path: Path) -> str:
    """What a path is that is no regular file, as the rest of a sentence that begins with it; empty where it is one."""
    try:
        if path.is_file():
            return ""
        if path.is_dir():
            return FOLDER
        if path.exists():
            return _OTHER
        return LINK if path.is_symlink() else ABSENT
    except OSError as error:
        return f"cannot be read: {error.strerror}"
