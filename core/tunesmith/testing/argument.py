"""A value that can be stored and nothing else, for constructors under check."""

from typing import Any, NoReturn


class UsedError(Exception):
    """A constructor used an argument; the message says which."""


class Argument:
    """Stands for the value of an option. Whoever looks into it, compares it or converts it gets a `UsedError`.

    Args:
        name: The option.
    """

    def __init__(self, name: str) -> None:
        object.__setattr__(self, "_name", name)

    def __repr__(self) -> str:
        return "<a value>"

    def __getattr__(self, name: str) -> NoReturn:
        raise UsedError(object.__getattribute__(self, "_name"))

    def _used(self, *_: Any, **__: Any) -> NoReturn:
        raise UsedError(object.__getattribute__(self, "_name"))

    __bool__ = __len__ = __iter__ = __call__ = __getitem__ = __contains__ = __str__ = __format__ = _used
    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = __hash__ = _used
    __int__ = __float__ = __index__ = __fspath__ = __add__ = __radd__ = __sub__ = __rsub__ = _used
    __mul__ = __rmul__ = __truediv__ = __rtruediv__ = __neg__ = __abs__ = __or__ = __ror__ = __mod__ = _used
