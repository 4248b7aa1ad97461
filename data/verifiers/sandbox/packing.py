"""Values as JSON and back, such that reading them can neither run foreign code nor crash.

Data are None, numbers, texts, bytes, the built-in containers, some values of the standard library (VALUES), built-in types and
exception classes. An instance of a class below one of them is sent as what it is below. For the rest the caller makes handles.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, Final, TypeAlias

Packed: TypeAlias = Any
"""None, bool, int, float, str, or a list of a kind and what belongs to it."""
VALUES: Final[Mapping[str, Callable[[Any], tuple[Any, ...]]]] = {
    "builtins.bytearray": lambda value: (bytes(value),),
    "builtins.complex": lambda value: (value.real, value.imag),
    "builtins.range": lambda value: (value.start, value.stop, value.step),
    "collections.deque": lambda value: (list(value), value.maxlen),
    "datetime.date": lambda value: (value.year, value.month, value.day),
    "datetime.timedelta": lambda value: (value.days, value.seconds, value.microseconds),
    "decimal.Decimal": lambda value: (str(value),),
    "fractions.Fraction": lambda value: (value.numerator, value.denominator),
}
"""Name of a type → what makes an equal value of it."""
MAX_PLAIN = 2**63
"""Python reads and writes longer decimals slowly, or not at all."""
SEQUENCES = (list, tuple, set, frozenset)


def pack(value: object, handle: Callable[[object], Packed]) -> Packed:
    """A value as JSON; `handle` packs what is no data. Raises RecursionError for what holds itself."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value) if abs(value) < MAX_PLAIN else ["int", hex(value)]
    for plain in (float, str):
        if isinstance(value, plain):
            return plain(value)
    for kind in SEQUENCES:
        if isinstance(value, kind):
            return [kind.__name__, [pack(part, handle) for part in value]]
    if isinstance(value, dict):
        return ["dict", [[pack(key, handle), pack(part, handle)] for key, part in value.items()]]
    if isinstance(value, bytes):
        return ["bytes", value.hex()]
    if isinstance(value, type) and (packed := _packed_type(value)):
        return packed
    name = f"{type(value).__module__}.{type(value).__qualname__}"
    if name in VALUES:
        return ["value", name, [pack(part, handle) for part in VALUES[name](value)]]
    return handle(value)


def unpack(packed: Packed, handled: Callable[[str, int], object]) -> Any:
    """The value again. Raises LookupError, TypeError, ValueError, AttributeError, ArithmeticError or RecursionError for what is none."""
    if not isinstance(packed, list):
        return packed
    kind, *rest = packed
    for sequence in SEQUENCES:
        if kind == sequence.__name__:
            return sequence(unpack(part, handled) for part in rest[0])
    if kind == "dict":
        return {unpack(key, handled): unpack(part, handled) for key, part in rest[0]}
    if kind == "int":
        return int(rest[0], 16)
    if kind == "bytes":
        return bytes.fromhex(rest[0])
    if kind == "value" and rest[0] in VALUES:
        module, _, name = rest[0].rpartition(".")
        return getattr(import_module(module), name)(*[unpack(part, handled) for part in rest[1]])
    if kind == "type":
        return _type(*rest)
    return handled(kind, *rest)


_ERRORS: dict[tuple[str, str], type[BaseException]] = {}


def _packed_type(kind: type) -> Packed | None:
    if kind.__module__ == "builtins" and getattr(builtins, kind.__name__, None) is kind:
        return ["type", kind.__name__]
    if issubclass(kind, BaseException):
        return ["type", kind.__name__, next(base.__name__ for base in kind.__mro__ if base.__module__ == "builtins")]
    return None


def _type(name: str, base: str | None = None) -> type:
    """A built-in type, or the stand-in of the other side's exception class."""
    found = getattr(builtins, base or name)
    if not isinstance(found, type) or found.__module__ != "builtins":  # `__loader__` is one, but of another module
        raise TypeError(f"{base or name} is no built-in type")
    if base is None:
        return found
    if not issubclass(found, BaseException):
        raise TypeError(f"{base} is no exception")
    return _ERRORS.setdefault((name, base), type(name, (found,), {}))
