"""A stack machine for pickles that reads them as data: nothing that a file names is imported or called.

A pickle is a program. Python's own machine imports any function and calls it; this one knows only the opcodes that
build plain values, and answers the few globals it is given with functions of this project. Everything else is refused.
It has no recursion, and its memory is bounded by the file's length.

Source: `pickletools` of the standard library, which defines the opcodes and reads their arguments.
"""

from __future__ import annotations

import io
import pickletools
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NoReturn

from circuits.errors import CheckpointError

MAX_OPERATIONS = 1_000_000  # an official checkpoint has 36,000
MAX_INTEGER_BITS = 128  # torch's magic number has 77
STEP = "read checkpoint"
SAVED_BY = "nothing was run; take the file from the list in the README of stylegan2-ada-pytorch"


@dataclass(frozen=True)
class Global:
    """A name that the file mentions, such as `torch.FloatStorage`. Only a name."""

    name: str


class Stateful:
    """A value to which a pickle may give a state."""

    def check_state(self, state: object) -> None:
        """Raises ValueError when the state is another than the one this value has anyway."""
        raise NotImplementedError


def set_of_names(values: object) -> set[str]:
    """A set from a list of texts. ValueError for anything else: nothing is hashed but names."""
    if type(values) is not list or not all(type(v) is str for v in values):
        raise ValueError("a set of something else than names")
    return set(values)


class Machine:
    """The stack machine.

    Args:
        name: the file's name, for messages.
        calls: global -> the function that stands for it.
        names: further globals that the file may mention, not call.
        persistent: the meaning of a persistent id; without it such ids are refused.
    """

    def __init__(
        self,
        name: str,
        calls: Mapping[str, Callable[..., object]],
        names: frozenset[str] = frozenset(),
        persistent: Callable[[object], object] | None = None,
    ) -> None:
        self.name = name
        self.calls = calls
        self.globals = names | calls.keys()
        self.persistent = persistent

    def load(self, stream: io.BytesIO) -> object:
        """The value of the pickle that starts at the stream's position; leaves the stream after it.

        Raises:
            CheckpointError: damaged, too long, or something that no checkpoint needs.
        """
        self.stack: list[object] = []
        self.marks: list[list[object]] = []
        self.memo: dict[int, object] = {}
        try:
            for _ in range(MAX_OPERATIONS):
                name, argument = self._next(stream)
                if name == "STOP":
                    (value,) = self.stack
                    return value
                self._run(name, argument)
            raise ValueError(f"more than {MAX_OPERATIONS} operations")
        except (ValueError, IndexError, KeyError, TypeError, OverflowError, struct.error) as error:
            detail = ascii(str(error))[1:121]
            raise CheckpointError(
                f"{self.name}: damaged, or no StyleGAN2-ADA pickle: {type(error).__name__}: {detail}",
                step=STEP,
                hint="download it again and compare its size",
            ) from None

    def _next(self, stream: io.BytesIO) -> tuple[str, object]:
        """The next opcode's name and argument. Of opcodes that are refused the argument is not even read."""
        code = stream.read(1)
        opcode = _OPCODES.get(code)
        if opcode is None:
            self._refuse(f"pickle operation {code!r}" if code else "the pickle's end before its value")
        if opcode.name == "GLOBAL":
            return opcode.name, (stream.readline()[:-1].decode(), stream.readline()[:-1].decode())
        return opcode.name, opcode.arg.reader(stream) if opcode.arg else None

    def _run(self, name: str, argument: object) -> None:
        stack = self.stack
        if name in _VALUES:
            if type(argument) is int and argument.bit_length() > MAX_INTEGER_BITS:
                raise ValueError(f"an integer of {argument.bit_length()} bits")
            stack.append(argument)
        elif name in _MAKES:
            stack.append(_MAKES[name]())
        elif name in ("PROTO", "FRAME"):
            pass
        elif name == "MARK":
            self.marks.append(stack)
            self.stack = []
        elif name in ("BINPUT", "LONG_BINPUT"):
            self.memo[_integer(argument)] = stack[-1]
        elif name == "MEMOIZE":
            self.memo[len(self.memo)] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            stack.append(self.memo[_integer(argument)])
        elif name in ("TUPLE1", "TUPLE2", "TUPLE3"):
            items = [stack.pop() for _ in range(int(name[-1]))]
            stack.append(tuple(reversed(items)))
        elif name == "TUPLE":
            group = tuple(self._pop_mark())
            self.stack.append(group)
        elif name in ("APPEND", "APPENDS", "SETITEM", "SETITEMS", "ADDITEMS"):
            self._fill(name)
        elif name in ("GLOBAL", "STACK_GLOBAL"):
            self._global(name, argument)
        elif name in ("REDUCE", "NEWOBJ"):
            self._call()
        elif name == "BUILD":
            self._build()
        elif name == "BINPERSID" and self.persistent is not None:
            stack.append(self.persistent(stack.pop()))
        else:
            self._refuse(f"pickle operation {name}")

    def _pop_mark(self) -> list[object]:
        items, self.stack = self.stack, self.marks.pop()
        return items

    def _fill(self, name: str) -> None:
        """Puts items into the list, dictionary or set below them."""
        if name.endswith("S"):
            items = self._pop_mark()
        else:
            items = [self.stack.pop() for _ in range(2 if name == "SETITEM" else 1)][::-1]
        target = self.stack[-1]
        if type(target) is list and name.startswith("APPEND"):
            target.extend(items)
        elif type(target) is dict and name.startswith("SETITEM"):
            for key, value in zip(items[::2], items[1::2], strict=True):
                if type(key) is not str:  # nothing is hashed but names
                    raise TypeError("a dictionary's key that is not a name")
                target[key] = value
        elif type(target) is set and name == "ADDITEMS":
            target.update(set_of_names(items))
        else:
            raise TypeError(f"{name} on a {type(target).__name__}")

    def _global(self, name: str, argument: object) -> None:
        if name == "STACK_GLOBAL":
            attribute = self.stack.pop()
            argument = self.stack.pop(), attribute
        if type(argument) is not tuple or not all(type(part) is str for part in argument):
            raise TypeError("a global whose name is not text")
        full = ".".join(argument)
        if full not in self.globals:
            self._refuse(f"global {full}")
        self.stack.append(Global(full))

    def _call(self) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        if type(function) is not Global or type(arguments) is not tuple:
            self._refuse(f"call of a {type(function).__name__}")
        if function.name not in self.calls:
            self._refuse(f"call of {function.name}")
        self.stack.append(self.calls[function.name](*arguments))

    def _build(self) -> None:
        state, target = self.stack.pop(), self.stack[-1]
        if not isinstance(target, Stateful):
            self._refuse(f"state for a {type(target).__name__}")
        target.check_state(state)

    def _refuse(self, what: str) -> NoReturn:
        hint = SAVED_BY
        if "dnnlib.tflib" in what:
            hint = "a TensorFlow checkpoint: convert it with legacy.py of stylegan2-ada-pytorch, then import the result"
        raise CheckpointError(
            f"{self.name}: {ascii(what)[1:-1][:120]}, which no StyleGAN2-ADA checkpoint needs: it may be an attack",
            step=STEP,
            hint=hint,
        )


def _integer(value: object) -> int:
    if type(value) is not int:
        raise TypeError("an index that is not a number")
    return value


_VALUES = frozenset(
    {"BININT", "BININT1", "BININT2", "LONG1", "LONG4", "BINFLOAT"}
    | {"SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "SHORT_BINBYTES", "BINBYTES", "BINBYTES8"}
)
_OTHERS = frozenset(
    {"PROTO", "FRAME", "MARK", "STOP", "BINPUT", "LONG_BINPUT", "MEMOIZE", "BINGET", "LONG_BINGET"}
    | {"TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "APPEND", "APPENDS", "SETITEM", "SETITEMS", "ADDITEMS"}
    | {"GLOBAL", "STACK_GLOBAL", "REDUCE", "NEWOBJ", "BUILD", "BINPERSID"}
)
_MAKES: dict[str, Callable[[], object]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_TUPLE": tuple,
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
    "EMPTY_SET": set,
}
_OPCODES = {
    opcode.code.encode("latin-1"): opcode
    for opcode in pickletools.opcodes
    if opcode.name in _VALUES | _OTHERS | _MAKES.keys()
}
