"""Calls between two interpreters that do not trust each other: what crosses is data, or a handle on an object that stays where it is.

Calls, attributes and iteration of a handle go to its object. But a handle never equals data, and there is no arithmetic and no order
between the two, so no object can pass for every result. Containers that a call changes in place are changed on the caller's side too.
"""

from __future__ import annotations

import json
import operator
import os
from collections.abc import Callable, Mapping
from typing import Any, Final

from data.verifiers.sandbox.packing import Packed, pack, unpack

MAX_MESSAGE_BYTES = 16 * 2**20
HEADER_BYTES = 4
HANDLED: Final[Mapping[str, Callable[..., Any]]] = {
    "__call__": lambda own, *args, **kwargs: own(*args, **kwargs),
    "__getattr__": getattr,
    "__setattr__": setattr,
    "__iter__": iter,
    "__next__": next,
    "__len__": len,
    "__bool__": bool,
    "__str__": str,
    "__repr__": repr,
    "__hash__": hash,
    "__abs__": abs,
    "__instancecheck__": lambda own, value: isinstance(value, own),
    "__enter__": lambda own: type(own).__enter__(own),
    "__exit__": lambda own, *how: type(own).__exit__(own, *how),
    "__getitem__": operator.getitem,
    "__setitem__": operator.setitem,
    "__delitem__": operator.delitem,
}
"""What a handle does with its object."""
AMONG_HANDLES: Final[Mapping[str, Callable[..., Any]]] = {
    f"__{name}__": getattr(operator, f"__{name}__") for name in ("eq", "lt", "le", "gt", "ge", "add", "sub", "mul", "truediv", "and", "or")
}
"""What two handles do."""
ALL: Final = {**HANDLED, **AMONG_HANDLES}


class Broken(BaseException):
    """The other side is gone or breaks the protocol; no `except Exception` swallows it."""


class Handle:
    """Stands for an object of the other side."""

    __slots__ = ("_peer", "_reference")
    _peer: Peer
    _reference: int

    def __init__(self, peer: Peer, reference: int) -> None:
        object.__setattr__(self, "_peer", peer)
        object.__setattr__(self, "_reference", reference)


def _forward(name: str) -> Callable[..., Any]:
    return lambda own, *args, **kwargs: own._peer.ask(name, own, args, kwargs)


def _among(name: str) -> Callable[[Handle, object], Any]:
    return lambda own, other: own._peer.ask(name, own, (other,)) if isinstance(other, Handle) else NotImplemented


for _name in HANDLED:
    setattr(Handle, _name, _forward(_name))
for _name in AMONG_HANDLES:
    setattr(Handle, _name, _among(_name))


class Peer:
    """One side: asks the other one for things and does what that asks for.

    `home` None: with what it was given, the other side may do anything. Else it may do what HANDLED and AMONG_HANDLES say, but
    look only into instances of classes of the module `home`, and there not at names that begin with an underscore.
    """

    def __init__(self, reading: int, writing: int, *, home: str | None) -> None:
        self._reading, self._writing, self._home = reading, writing, home
        self._given: list[object] = []
        self._references: dict[int, int] = {}
        self.asked = 0
        """How often this side asked."""
        self.broken = False

    def ask(self, name: str, own: Handle, args: tuple[object, ...], kwargs: Mapping[str, object] | None = None) -> Any:
        """Have something done with `own`, serving the other side meanwhile. Raises what that raised, and Broken."""
        self.asked += 1
        given = [list(args), dict(kwargs or {})]
        self._send(json.dumps(["do", name, *map(self._packed, (own, given))]))
        while (message := self._receive())[0] == "do":
            self._serve(message)
        if message[0] == "raised":
            raise self._error(*message[1:])
        _, value, changed = self._checked(message, 3)
        if changed is not None:
            _refresh(given, self._unpacked(changed))
        return self._unpacked(value)

    def serve(self, first: object) -> None:
        """Do what the other side asks for, of its handle 0 to begin with, until it is gone (Broken)."""
        self._packed(first)
        while True:
            self._serve(self._receive())

    def _serve(self, message: list[Any]) -> None:
        try:
            answer = json.dumps(self._answer(*self._checked(message, 4)[1:]))
            if len(answer) > MAX_MESSAGE_BYTES:
                raise ValueError(f"a value of more than {MAX_MESSAGE_BYTES / 2**20:.0f} MiB")
        except Broken:
            raise
        except BaseException as error:  # noqa: BLE001 - whatever a program raises is its answer
            answer = json.dumps(["raised", *self._packed_error(error)])
        self._send(answer)

    def _answer(self, name: str, reference: Packed, packed: Packed) -> list[Packed]:
        own, (args, kwargs) = self._own(reference), self._unpacked(packed)
        if self._home is not None and name in ("__getattr__", "__setattr__"):
            _check_home(own, args[0], self._home)
        before = self._packed([args, kwargs])
        value = self._packed(ALL[name](own, *args, **kwargs))
        after = self._packed([args, kwargs])
        return ["gave", value, None if after == before else after]

    def _own(self, reference: Packed) -> object:
        """The object that is asked for: one that this side gave, never a type or a value that the other side names."""
        if not isinstance(reference, list) or reference[:1] != ["yours"]:
            raise self._break("asks for what it was not given")
        return self._unpacked(reference)

    def _packed_error(self, error: BaseException) -> list[Packed]:
        where = place(error, "program")
        try:
            return [self._packed(type(error)), self._packed(list(error.args)), where]
        except Exception as worse:  # noqa: BLE001 - its arguments cannot be handed over
            return [self._packed(type(worse)), ["list", [str(worse)]], where]

    def _error(self, *said: Packed) -> BaseException:
        kind, args, where = self._checked(list(said), 3)
        own, values = self._unpacked(kind), self._unpacked(args)
        if not (isinstance(own, type) and issubclass(own, BaseException) and isinstance(values, list)):
            return self._break("raised what is no exception")
        try:
            error = own(*values)
        except TypeError:  # some need arguments of their own kind
            error = RuntimeError(f"{own.__name__}: {values}")
        if isinstance(where, str):
            error.add_note(where)
        return error

    def _packed(self, value: object) -> Packed:
        return pack(value, self._handle)

    def _handle(self, value: object) -> Packed:
        if isinstance(value, Handle):
            return ["yours", value._reference]
        if id(value) not in self._references:
            self._references[id(value)] = len(self._given)
            self._given.append(value)  # kept, so that no other object gets its id
        return ["mine", self._references[id(value)]]

    def _unpacked(self, packed: Packed) -> Any:
        try:
            return unpack(packed, self._handled)
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError) as error:
            raise self._break(f"sent no value: {error}") from error

    def _handled(self, kind: str, reference: int) -> object:
        if kind == "mine":
            return Handle(self, operator.index(reference))
        if kind == "yours":
            return self._given[reference]
        raise ValueError(f"unknown kind {kind!r:.40}")

    def _send(self, text: str) -> None:
        if len(text) > MAX_MESSAGE_BYTES:
            raise ValueError(f"arguments of more than {MAX_MESSAGE_BYTES / 2**20:.0f} MiB")
        data = memoryview(len(text).to_bytes(HEADER_BYTES, "big") + text.encode())  # json.dumps gives ASCII
        try:
            while data:
                data = data[os.write(self._writing, data) :]
        except OSError as error:
            raise self._break("is gone") from error

    def _receive(self) -> list[Any]:
        size = int.from_bytes(self._bytes(HEADER_BYTES), "big")
        if size > MAX_MESSAGE_BYTES:
            raise self._break(f"sent {size} bytes at once")
        try:
            message = json.loads(self._bytes(size))
        except (ValueError, RecursionError) as error:
            raise self._break("sent no JSON") from error
        return self._checked(message, None)

    def _bytes(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            chunk = os.read(self._reading, count - len(data))
            if not chunk:
                raise self._break("is gone")
            data += chunk
        return data

    def _checked(self, message: Any, length: int | None) -> list[Any]:
        if not isinstance(message, list) or not message or (length is not None and len(message) != length):
            raise self._break("sent no message")
        return message

    def _break(self, what: str) -> Broken:
        self.broken = True
        return Broken(f"the program's process {what}"[:200])


def place(error: BaseException, name: str) -> str | None:
    """Where in the source called `<name>` an exception was raised, its innermost line."""
    lines, frame = [], error.__traceback__
    while frame is not None:
        if frame.tb_frame.f_code.co_filename == f"<{name}>":
            lines.append(frame.tb_lineno)
        frame = frame.tb_next
    return f"{name}, line {lines[-1]}" if lines else None


def _check_home(own: object, name: object, home: str) -> None:
    if type(own).__module__ != home or not isinstance(name, str) or name.startswith("_"):
        raise AttributeError(f"{name!r:.40} of a {type(own).__name__} cannot be reached from the program")


def _refresh(old: Any, new: Any) -> None:
    """Make the containers in `old` equal to those in `new`, in place."""
    if isinstance(old, list) and isinstance(new, list):
        kept = zip(old, new, strict=False)
        old[:] = [_merged(*pair) for pair in kept] + new[len(old) :]
    elif isinstance(old, dict) and isinstance(new, dict):
        merged = {key: _merged(old[key], value) if key in old else value for key, value in new.items()}
        old.clear()
        old.update(merged)
    elif isinstance(old, tuple) and isinstance(new, tuple):
        for pair in zip(old, new, strict=False):
            _merged(*pair)
    elif isinstance(old, set) and isinstance(new, set):
        old.clear()
        old.update(new)
    elif isinstance(old, bytearray) and isinstance(new, bytearray):
        old[:] = new


def _merged(old: Any, new: Any) -> Any:
    """`old` made equal to `new` where it is a container that can be, otherwise `new`."""
    if type(old) is type(new) and isinstance(old, list | dict | set | bytearray):
        _refresh(old, new)
        return old
    return new
