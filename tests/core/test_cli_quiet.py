"""What libraries say about themselves is not shown."""

import logging

from tunesmith.cli.quiet import quieten


def test_bitsandbytes_says_nothing_whoever_imports_it_first() -> None:
    logger = logging.getLogger("bitsandbytes.backends.cpu.ops")
    before = logger.level
    logger.setLevel(logging.WARNING)
    try:
        quieten()  # before the recipe's optimizer is imported, and a base with packed weights is loaded
        assert not logger.isEnabledFor(logging.WARNING), "a kernel that nobody asked for"
        assert logger.isEnabledFor(logging.ERROR)
    finally:
        logger.setLevel(before)
