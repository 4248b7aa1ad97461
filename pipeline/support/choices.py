"""Which kinds there are of what a settings file shows one of: comments for a file that is printed with all its settings."""

from __future__ import annotations

from collections.abc import Iterator
from textwrap import wrap
from typing import Annotated, Any, NamedTuple, get_args, get_origin

import yaml
from pydantic.fields import FieldInfo

from data.records import Section

WIDTH = 140


class Choice(NamedTuple):
    """Settings of several kinds, told apart by one key."""

    key: str
    kinds: tuple[str, ...]
    file: str
    """Where each kind's own settings are described."""

    def __str__(self) -> str:
        return f"{self.key} is one of {', '.join(self.kinds)}; the settings of each: {self.file}"


def commented(settings: Section, text: str) -> str:
    """`text`, which is the settings as block YAML, with a comment above the first place of every choice; it holds the same values."""
    lines, known = text.splitlines(), set[Choice]()
    above: dict[int, list[str]] = {}
    for mark, choice in _places(settings, yaml.compose(text, Loader=yaml.SafeLoader)):
        if choice not in known:
            known.add(choice)
            comment = f"{' ' * mark.column}# "
            above[mark.line] = wrap(str(choice), WIDTH, initial_indent=comment, subsequent_indent=f"{comment}  ")
    return "".join(f"{line}\n" for number, own in enumerate(lines) for line in (*above.get(number, ()), own))


def _places(value: object, node: Any) -> Iterator[tuple[Any, Choice]]:
    """Every key below whose settings may be of several kinds, whatever is chosen there."""
    nodes = {key.value: (key, below) for key, below in node.value} if isinstance(node, yaml.MappingNode) else {}
    if isinstance(value, Section):
        for name, field in type(value).model_fields.items():
            key, below = nodes[field.alias or name]
            if choice := _choice(field.annotation, field):
                yield key.start_mark, choice
            yield from _places(getattr(value, name), below)
    elif isinstance(value, dict):
        for name, own in value.items():
            yield from _places(own, nodes[str(name)][1])


def _choice(annotation: Any, *about: Any) -> Choice | None:
    """The first choice in a type: itself, what a list or a mapping of it holds, or what it is beside null."""
    if get_origin(annotation) is Annotated:
        return _choice(*get_args(annotation))
    for info in about:
        if isinstance(info, FieldInfo) and isinstance(key := info.discriminator, str):
            members = get_args(annotation)
            kinds = [kind for member in members for kind in get_args(member.model_fields[key].annotation)]
            return Choice(key, tuple(kinds), f"{members[0].__module__.replace('.', '/')}.py")
    return next(filter(None, map(_choice, get_args(annotation))), None)
