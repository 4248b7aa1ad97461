"""Problems with options: read from any usual layout, shuffled per problem, and listed in the question with their letters.

Data sets put the right option first oftener than elsewhere, or always, and a model learns that. So the order is a hash of the problem's
words and a seed: the same in every run, whatever the order of rows and of the options in the data. An option that speaks of others
("all of the above", "both A and C") would lie elsewhere: the former stays last, and beside the latter the given order stays.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import NamedTuple

from data.dedup import OPTIONS, tokens
from data.records import ChoiceReference, content_id
from data.sources.columns import Columns, plain
from data.sources.row import Row, as_text

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
CUE = r"(?i:both|only|either|neither|(?:all|none|any|one) of|options?|choices?|answers?)"
"""A word that is said of options, so that the letters right behind it are theirs: in "vitamins A and D" they are not."""
TAIL = r"(?=\s*(?:$|[.,;:)]|(?i:is|are|was|were|can|could|may|apply|applies|true|correct|false|only|alone|together)\b))"
OF_THE_ABOVE = re.compile(
    r"\b(?:all|none|any|both|neither|either|some|one|two|three)\b(?: of)? (?:the )?(?:above|preceding|foregoing)\b", re.IGNORECASE
)


class Option(NamedTuple):
    """An option, what the data calls it, and its place in the data."""

    name: str
    text: str
    place: int


def read(row: Row, columns: Columns, question: str, seed: int) -> tuple[str, ChoiceReference]:
    """The question with its options in their new order, and the letter of the right one."""
    options = _options(row, columns.options or "")
    gold = _gold(row, columns, options)
    texts = _told_apart([option.text for option in options])
    order = shuffled(question, texts, seed)
    placed = tuple(texts[place] for place in order)
    reference = ChoiceReference(options=placed, value=LETTERS[[_spaced(text) for text in placed].index(gold)])
    return listed(question, placed), reference


def listed(question: str, options: Sequence[str]) -> str:
    """The question with its lettered options below it."""
    first, *others = options
    return "\n".join([f"{question}{OPTIONS}{first}", *(f"{letter}. {option}" for letter, option in zip(LETTERS[1:], others, strict=False))])


def shuffled(question: str, options: Sequence[str], seed: int) -> list[int]:
    """An order of the options as places in the given one, uniform over problems."""
    given = list(range(len(options)))
    above = [place for place in given if OF_THE_ABOVE.search(options[place])]
    if _points(options) or above not in ([], given[-1:]):
        return given
    words = [tokens(option) for option in options]
    content = content_id("options", seed, tokens(question), sorted(words))
    ranks = [content_id(content, own, option) for own, option in zip(words, options, strict=True)]
    return sorted(given, key=lambda place: (place in above, ranks[place]))


def _options(row: Row, named: str | tuple[str, ...]) -> list[Option]:
    """The options that are there: data with five columns leaves some of them empty."""
    names, texts = (LETTERS, [row.value(column) for column in named]) if isinstance(named, tuple) else _of_one_column(row, named)
    found = [Option(str(name), (as_text(text) or "").strip(), place) for place, (name, text) in enumerate(zip(names, texts, strict=False))]
    return [option for option in found if option.text]


def _of_one_column(row: Row, column: str) -> tuple[Sequence[object], Sequence[object]]:
    """Names and texts."""
    value = row.value(column)
    if isinstance(value, Mapping) and {"label", "text"} <= value.keys():
        names, texts = value["label"], value["text"]
    elif isinstance(value, Mapping):
        names, texts = list(value), list(value.values())
    else:
        names, texts = LETTERS, value
    if not isinstance(names, Sequence) or not isinstance(texts, Sequence) or isinstance(texts, str) or len(names) < len(texts):
        raise row.error(column, f"{value!r} holds no options; a list of texts, name → text, or lists `label` and `text` are needed")
    return names, texts


def _gold(row: Row, columns: Columns, options: Sequence[Option]) -> str:
    """The text of the right option, as `_spaced`."""
    said = row.text(columns.answer)
    if columns.gold == "letter":
        fits = [option for option in options if plain(option.name) == plain(said.strip("().: "))]
    elif columns.gold == "text":
        fits = [option for option in options if plain(option.text) == plain(said)]
    else:
        whole = re.fullmatch(r"([0-9]+)(?:\.0+)?", said)
        wanted = int(whole[1]) - (columns.gold == "index_from_1") if whole else None
        fits = [option for option in options if option.place == wanted]
    found = {_spaced(option.text) for option in fits}
    if len(found) != 1:
        allowed = [option.text if columns.gold == "text" else option.name for option in options]
        raise row.error(columns.answer, f"{said!r} is not the {columns.gold} of one of the {len(options)} options {allowed}")
    return found.pop()


def _told_apart(texts: Sequence[str]) -> list[str]:
    """Each option once: data sets repeat a wrong one now and then. Where letters are named they are left, to be refused."""
    if _points(texts):
        return list(texts)
    return list({_spaced(text): text for text in reversed(texts)}.values())[::-1]


def _points(options: Sequence[str]) -> bool:
    """Whether one of the options speaks of others by their letters."""
    pointing = _pointing(LETTERS[: len(options)])
    return any(pointing.search(option.strip()) for option in options)


@cache
def _pointing(letters: str) -> re.Pattern[str]:
    one = rf"(?<![\w'])(?:[{letters}]|\((?i:[{letters}])\))(?![\w'])"
    more = rf"(?:\s*(?:,\s*(?:and|or|nor)?|/|&|and|or|nor)\s*{one})"
    return re.compile(rf"\b{CUE}\s+{one}{more}*{TAIL}|^{one}{more}+{TAIL}|^{one}\s+(?i:only|alone)\b")


def _spaced(text: str) -> str:
    """`text` with single spaces, which is how references tell options apart."""
    return " ".join(text.split())
