"""Verifier of multiple choice: pure and of linear time, so it runs in the stage's own process.

A statement names an option by its letter ("B", "(b)", "B) Paris"), its text ("Paris"), or its position ("option 2"). A letter elsewhere
in a text is never an answer (NeMo-Skills #1511 reads "E" out of an energy), nor is the article "a"; two options in one statement are none.
"""

from __future__ import annotations

import re
import unicodedata
from string import ascii_uppercase

from data.records import ChoiceReference
from data.verifiers.contract import Judgement
from data.verifiers.phrases import COLON, DRESS
from data.verifiers.statements import Statement
from data.verifiers.texts import BECAUSE, CONTRAST, HEDGE, grammar, settled, stated_or_whole, undressed

NAME = "choice"
VERSION = "3"
INLINE = True
OPTION = r"(?:option|choice|answer|letter|antwort|opción|opção|opzione|réponse|respuesta|risposta|resposta|вариант|ответ|选项|選択肢|正解)"
ARTICLE = r"(?:(?:the|die|der|das|la|le|el|il|l'|a|o)\s+)?"
ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")
ORDINAL = rf"(?P<ordinal>{'|'.join(ORDINALS)}|last)\s+(?:option|choice|answer|one)"
GRAMMAR = grammar(
    rf"\b(?:correct|right|best)\s+(?:option|choice|answer|letter)\b{DRESS}(?:{COLON}|\s+is\b)",
    r"\bI\s+(?:choose|select|pick)\s+(?=(?:option|choice|letter)\b)",
    r"\bI\s+(?:choose|select|pick)\s+(?=\([A-Za-z]\)|[A-Z](?:\.|\s*\Z|\s*\n))",
    r"故选|因此选|所以选",
    holding=rf"\b(?P<value>(?:option|choice)\s+(?:\(?[A-Za-z]\)?|\d{{1,2}})|(?-i:[A-Z])|the\s+{ORDINAL})"
    r"\s+is\s+(?:also\s+)?(?:the\s+)?(?:correct|right|best)\b(?!\s+(?:wrong|incorrect|guess|about))",
)
ALONE = re.compile(rf"{ARTICLE}(?:{OPTION}\s*)?(?:\((?P<a>[A-Za-z])\)|\[(?P<b>[A-Za-z])\]|(?P<c>[A-Za-z])[).:]?)\Z", re.IGNORECASE)
LETTERED = re.compile(
    rf"{ARTICLE}(?:{OPTION}\s*)?(?:[(\[](?P<a>[A-Za-z])[)\]]\s*[:.–—-]?|(?P<b>[A-Za-z])\)|(?P<c>[A-Z])\s*[.:]|(?P<d>[A-Z])\s+[–—-]\s)\s*(?P<text>.+)\Z",
    re.DOTALL,
)
BRACKETED = re.compile(r"(?P<d>[A-Z])\s*\((?P<text>[^()]+)\)\Z")
AFTER = re.compile(r"(?P<text>.+?)\s*\((?P<d>[A-Z])\)\Z", re.DOTALL)
POSITION = re.compile(
    rf"(?:the\s+)?(?P<named>(?:option|choice|answer|number)\s*#?\s*|#)?(?P<number>\d{{1,2}})\Z"
    rf"|(?:the\s+)?{ORDINAL}\Z",
    re.IGNORECASE,
)
WORD = re.compile(r"[^\W_]+")
FRACTION = re.compile(r"\\[dt]frac")


def judge(reference: ChoiceReference, answer_text: str) -> Judgement:
    """Judge the text after the thinking; the extracted answer is a letter."""
    finals = statements(reference, answer_text)
    return settled([(statement, _stated(reference, statement)) for statement in finals], reference.value, "one of the options")


def statements(reference: ChoiceReference, answer_text: str) -> list[Statement]:
    """The final statements of an answer: its whole text where that is nothing but an option."""
    return stated_or_whole(answer_text, GRAMMAR, lambda text: _read(reference, text) is not None)


def gold_text(reference: ChoiceReference) -> str:
    """The gold letter in a sentence."""
    return f"The answer is \\boxed{{{reference.value}}}."


def _stated(reference: ChoiceReference, statement: Statement) -> str | None:
    """The letter that a statement names. "B. London" contradicts itself where London is another option; "B. London is large." does not."""
    behind = undressed(statement.line[len(statement.text) :].lstrip(". ")) if statement.line.startswith(statement.text) else ""
    letter = _read(reference, statement.text)
    if letter is not None and (_option(reference, behind) or letter) != letter:
        return None
    texts = (statement.line, *(cut.split(statement.text, maxsplit=1)[0] for cut in (CONTRAST, BECAUSE)))
    return letter or next(filter(None, (_read(reference, text) for text in texts if text)), None)


def _read(reference: ChoiceReference, said: str) -> str | None:
    """The letter of the one option that a text names and nothing else."""
    text = HEDGE.sub("", undressed(unicodedata.normalize("NFKC", said)), count=1)
    by_text = _option(reference, text)
    alone = ALONE.match(text)
    by_letter = _known(reference, _group(alone)) if alone else None
    if alone and by_text and by_letter and by_text != by_letter:
        return None
    if by_text or alone:
        return by_text or by_letter
    for pattern in (LETTERED, BRACKETED, AFTER):
        if found := pattern.match(text):
            return _agreeing(reference, _known(reference, _group(found)), found["text"])
    return _by_position(reference, text) or _by_beginning(reference, text)


def _group(found: re.Match[str]) -> str:
    return next(value for name, value in found.groupdict().items() if value and name != "text").upper()


def _known(reference: ChoiceReference, letter: str) -> str | None:
    return letter if letter in ascii_uppercase[: len(reference.options)] else None


def _agreeing(reference: ChoiceReference, letter: str | None, text: str) -> str | None:
    """A letter that stands with a text, unless the text is another option's or has no word of its own option's."""
    other = _option(reference, text)
    if letter is None or other not in (None, letter) or _lists_another(reference, letter, text):
        return None
    option = reference.options[ascii_uppercase.index(letter)]
    if other is None and len(text) < 80 and not set(WORD.findall(_plain(text))) & set(WORD.findall(_plain(option))):
        return None
    return letter


def _lists_another(reference: ChoiceReference, letter: str, text: str) -> bool:
    """Whether a text holds the letter of another option with its text, as a list of the options does."""
    others = (rf"\b{own.lower()}[).:\]]\s*{re.escape(_plain(option))}(?!\w)" for own, option in _lettered(reference) if own != letter)
    return any(re.search(other, _plain(text)) for other in others)


def _by_position(reference: ChoiceReference, text: str) -> str | None:
    found = POSITION.match(text)
    if found is None:
        return None
    if found["ordinal"]:
        ordinal = found["ordinal"].lower()
        return _letter(reference, len(reference.options) if ordinal == "last" else ORDINALS.index(ordinal) + 1)
    by_position = _letter(reference, int(found["number"]))
    if found["named"]:
        return by_position
    starting = {letter for letter, option in _lettered(reference) if re.match(rf"{found['number']}(?![\d.,])\W", option)}
    return by_position if starting <= {by_position} else None  # "2" may be the second option, or the one of 2 km


def _by_beginning(reference: ChoiceReference, text: str) -> str | None:
    """The longest option that a text begins with, before a punctuation mark, if it names no other."""
    plain = _plain(text)
    fitting = [
        (len(_plain(option)), letter)
        for letter, option in _lettered(reference)
        if re.match(rf"{re.escape(_plain(option))}\s*[,;:(–—]", plain)
    ]
    if not fitting:
        return None
    length, letter = max(fitting)
    rest = plain[length:]
    others = (_plain(option) for own, option in _lettered(reference) if own != letter)
    return None if any(re.search(rf"(?<!\w){re.escape(other)}(?!\w)", rest) for other in others) else letter


def _option(reference: ChoiceReference, text: str) -> str | None:
    """The letter of the option whose text this is, case apart unless only the case tells two of them apart."""
    same = [letter for letter, option in _lettered(reference) if _plain(option) == _plain(text)]
    if len(same) > 1:
        same = [letter for letter, option in _lettered(reference) if undressed(option) == undressed(text)]
    return same[0] if len(same) == 1 else None


def _lettered(reference: ChoiceReference) -> list[tuple[str, str]]:
    return list(zip(ascii_uppercase, reference.options, strict=False))


def _letter(reference: ChoiceReference, position: int) -> str | None:
    return ascii_uppercase[position - 1] if 1 <= position <= len(reference.options) else None


def _plain(text: str) -> str:
    """Case, spaces, and the make of fractions and minus signs apart."""
    plain = FRACTION.sub(r"\\frac", unicodedata.normalize("NFKC", undressed(text))).replace("−", "-")
    return re.sub(r"\s+", " ", re.sub(r"(?<=\d)\s+(?=[^\W\d])", "", plain)).casefold()
