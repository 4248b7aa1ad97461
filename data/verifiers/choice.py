"""Verifier of multiple choice: pure and of linear time, so it runs in the stage's own process.

A statement names an option by its letter ("B", "(b)", "B) Paris"), its text ("Paris"), or its position ("option 2"). A letter elsewhere
in a text is never an answer (NeMo-Skills #1511 reads "E" out of an energy), nor is the article "a"; two options in one statement are none.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from string import ascii_uppercase

from data.records import ChoiceReference
from data.verifiers.contract import Judgement
from data.verifiers.options import WORD, joined, known, letter_at, lettered, mentioned, named_by, spelt_out, worded
from data.verifiers.phrases import COLON, CORRECTED, DRESS, NAMELY, PICTURES, RETRACTION
from data.verifiers.statements import KEYED, SENTENCE_END, Grammar, Statement
from data.verifiers.texts import BECAUSE, CONTRAST, HEDGE, grammar, settled, stated_or_whole, undressed

NAME = "choice"
VERSION = "5"
INLINE = True
OPTION = (
    r"(?:option|choice|answer|letter|antwort|buchstabe|réponse|lettre|respuesta|opción|risposta|opzione|lettera|resposta|opção|letra|alternativa"
    r"|вариант|ответ|选项|選択肢|正解)"
)
ARTICLE = r"(?:(?:(?i:the|die|der|das|la|le|el|il|l')|(?-i:[ao]))\s+)?"
BEFORE_OPTION = re.compile(rf"\A\s*(?:It\s+|{ARTICLE})")
"""What makes a sentence of an option, or is no part of it."""
NOUN = rf"{ARTICLE}(?:(?i:{OPTION})\s*)?"
ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")
ORDINAL = rf"(?P<ordinal>{'|'.join(ORDINALS)}|last)\s+(?:option|choice|answer|one)"
I_CHOOSE = r"\bI(?:['’]d|['’]ll|\s+would|\s+will)?\s+(?:choose|select|pick|go\s+with)"
NO_SECOND = r"(?<![\w/&+])(?<![&+]\s)(?<!\bplus\s)(?<!\bthan\s)(?<!\b[A-Z],\s)(?<!\bor\s)(?<!\b[A-Z]\sand\s)(?<!\)\sand\s)"
"""Before an option that is not the second of two."""
OPTION_NAMED = (
    r"(?:option|choice)\s+(?:\(?[A-Za-z]\)?(?:\s\([^()\n]{1,80}\))?|\d{1,2})|(?-i:\([A-Z]\)|[A-Z](?:[):]\s[^\n.,;:?!()*]{1,60}?)?)"
    rf"|the\s+{ORDINAL}"
)
GRAMMAR = grammar(
    rf"\b(?:correct|right|best)\s+(?:option|choice|answer|letter)\b{DRESS}{COLON}",
    rf"\b(?:correct|right|best)\s+(?:answer\s+)?(?:option|choice|answer|letter|one)\b{DRESS}\s+(?:is|would\s+be)\b",
    rf"\b(?:alternativa|opción|opção|opzione|lettre|letra|lettera)\s+(?:correcta|correta|corretta|correcte|certa){DRESS}"
    rf"(?:{COLON}|\s+(?:é|es|est|è)(?!\w))",
    rf"{I_CHOOSE}\s+(?=(?:option|choice|letter)\b)",
    rf"{I_CHOOSE}\s+(?=[*_]{{0,2}}(?:\([A-Za-z]\)|[A-Z](?:[.)]|\s*\Z|\s*\n)))",
    rf"\blösung{DRESS}(?:{COLON}|\s+(?:ist|lautet)\b)",
    r"故选|因此选|所以选|答案选|正确选项(?:是|为)",
    holding=rf"{KEYED}|{NO_SECOND}(?P<value>{OPTION_NAMED})(?:\*\*)?\s+is\s+(?:also\s+)?(?:the\s+(?:final\s+)?answer(?=[*.!,\n]|\s*\Z)"
    r"|(?:the\s+)?(?:correct|right|best)\b(?!\s+(?:wrong|incorrect|guess|about)))",
)
ENDING = r"(?=[*\"”.!]*\s*(?:\Z|\n)|,?\s+(?:because|since|as)\s+(?:it|this|they|the)\b)"
"""Behind what nothing may limit."""
SENTENCE_START = r"(?:\A|(?<=[.!?:\n])|\b(?:so|therefore|thus|hence)\b,?)"
SPOKEN_OPTION = re.compile(r"[^\W\d_]{4}")
"""An option with a word, which "is the correct answer"."""
ALONE = re.compile(rf"{NOUN}(?:\(\s?(?P<a>[A-Za-z])\s?\)|\[(?P<b>[A-Za-z])\]|(?P<c>[A-Za-z])[).:]?)\Z", re.IGNORECASE)
LETTERED = re.compile(
    rf"{NOUN}(?:[(\[](?P<a>[A-Za-z])[)\]]\s*(?:[:.]|[–—-](?=\s))?|(?P<b>[A-Za-z])\)|(?P<c>[A-Z])\s*[.:]|(?P<d>[A-Z])\s+[–—-]\s)\s*(?P<text>.+)\Z",
    re.DOTALL,
)
BRACKETED = re.compile(rf"{NOUN}(?P<d>[A-Z])\s*\((?P<text>[^()]+)\)\Z")
AFTER = re.compile(r"(?P<text>.+?)\s*\((?P<d>[A-Z])\)\Z", re.DOTALL)
BEHIND = re.compile(rf"(?P<text>.+?)\s*[–—,:-]\s*{OPTION}\s\(?(?P<d>[A-Z])\)?\Z", re.DOTALL)
SPOKEN = re.compile(rf"{NOUN}(?:\((?P<a>[A-Z])\)|(?P<d>[A-Z])),(?P<text>.+)\Z", re.DOTALL)
"""A letter and its text with a comma between, as one would say them."""
INTRODUCED = re.compile(rf"[\s,]*(?:(?:{NAMELY})\b\.?,?\s+)?", re.IGNORECASE)
"""Between a letter and its text."""
MARKED_LETTER = re.compile(
    rf"\A(?P<before>{NOUN})(?P<mark>\*{{1,3}}|__|[`$\"'])(?P<letter>(?:(?i:{OPTION})\s+)?\(?[A-Z]\)?[.:]?)"
    r"(?:(?P=mark)(?=[\s,:.(–—]|\Z)|\Z)"
)
"""A letter in marks of its own."""
MARKED_END = re.compile(rf"\A(?P<before>{ARTICLE}(?i:{OPTION})\s+)\*\*(?P<rest>(?:(?!\*\*).)+)(?:\*\*)?\Z", re.DOTALL)
"""What stands in marks behind the word "option"."""
BEFORE_TEXT = r"(?:[).:\]]|\s[–—-](?=\s))"
LISTED = re.compile(rf"(?:[.;!?:]|\s[•–—-])\s+[(\[*_]*(?:[Oo]ption\s+)?([A-Z])[*_]*{BEFORE_TEXT}(?=\W)")
"""A letter at the beginning of what is said of its option."""
WRONG = r"(?:(?:wrong|incorrect|false)\b|(?:not|cannot)\s+(?:be\s+)?(?:the\s+)?(?:correct|right|true|answer)\b)"
REJECTED = re.compile(
    rf"\A(?:not|neither|nicht|weder)\b|\b{WRONG}|n['’]t\s+(?:be\s+)?(?:the\s+)?(?:correct|right|true|answer)\b", re.IGNORECASE
)
"""What a review says of an option."""
TAKEN_BACK = re.compile(rf"[\s,]*(?:(?:but|and)\s+)?(?:it|that|this|which)(?:['’]s|\s+is|\s+was)\s+{WRONG}", re.IGNORECASE)
REASONED = re.compile(r"[*(]*[A-Z][)*.]*,?\s+(?:because|since|weil|parce\s+que|porque|perché|потому)\b")
IDENTIFIED = re.compile(
    r"[\s,;:–—-]*(?:(?:so|donc|also|but|and|or|as\s+well\s+as|as\s+(?:is|are)|i\.e\.|meaning)(?!\w)[\s,]*)?"
    r"(?:(?:(?:which|that|this|it)|(?:since|as|because)\s+(?:it|this|that|(?:option\s+)?[a-z]))"
    r"(?:['’]s|\s+(?:is|would\s+be|says|means|reads|states|lists|represents|gives|equals|(?:corresponds|refers)\s+to|stands\s+for))"
    r"(?:\s+(?:indeed|actually|just|that))?)?[\s,:]*",
    re.IGNORECASE,
)
"""Between a letter and what its option is said to be, or a second option."""
APPOSITION = re.compile(r",\s+(?=(?:the|an?)\s+\w+\s\w)")
"""Between a letter and what its option is, in other words than its own."""
NO_APPOSITION = re.compile(
    rf"\b(?:not|wrong|incorrect|false|least|worst|reject\w*|option|choice|letter|one|answer|last|{'|'.join(ORDINALS)})\b", re.IGNORECASE
)
PRONOUN = re.compile(r"(?:it|this|that)\b", re.IGNORECASE)
ALSO_RIGHT = re.compile(
    r"\b(?:right|correct)\s+(?:also|too|as\s+well)\b|\b(?:also|equally)\s+(?:right|correct|good)\b|\bas\s+good\b|\bbut\s+also\b"
    r"|\bis\s+the\s+(?:(?:right|correct)\s+)?answer\b",
    re.IGNORECASE,
)
"""Behind a letter: a second one is as good."""
END = re.compile(r"[.,;:!?](?=\s|\Z)|\s\(|\n")
POSITION = re.compile(
    rf"(?:the\s+)?(?P<named>(?:option|choice|answer|number)\s*#?\s*|#)?(?P<number>\d{{1,2}})\Z"
    rf"|(?:the\s+)?{ORDINAL}\Z",
    re.IGNORECASE,
)
NEGATION = re.compile(r"\b(?:not|never|cannot|wrong|incorrect|false)\b|n['’]t\b", re.IGNORECASE)


def judge(reference: ChoiceReference, answer_text: str) -> Judgement:
    """Judge the text after the thinking; the extracted answer is a letter."""
    finals = statements(reference, answer_text)
    return settled([(statement, _stated(reference, statement)) for statement in finals], reference.value, "one of the options")


def statements(reference: ChoiceReference, answer_text: str) -> list[Statement]:
    """The final statements of an answer: its whole text where that is nothing but an option."""
    for letter, option in lettered(reference):
        if RETRACTION.match(f"{option},") or CORRECTED.match(f" {option}"):
            answer_text = _quoted(answer_text, letter, option)
    own = _grammar(tuple(reference.options))
    return stated_or_whole(answer_text, own, lambda text: (_read(reference, text) or _with_reason(reference, text)) is not None)


def _quoted(text: str, letter: str, option: str) -> str:
    """`text` with an option in quotes behind its letter: "B. No" takes nothing back where that is an option."""
    return re.sub(rf"\b{letter}[.:,)] {re.escape(option.rstrip('.'))}{ENDING}", lambda _: f'{letter}) "{option}"', text)


@lru_cache(maxsize=256)
def _grammar(options: tuple[str, ...]) -> Grammar:
    """What states one of these options: also "Paris is the correct answer"."""
    names = "|".join(re.escape(option.rstrip(".")) for option in options if len(option) <= 80 and SPOKEN_OPTION.search(option))
    named = rf"{SENTENCE_START}[\s*\"“]{{0,6}}(?P<option>(?:\(?[A-Z][).:]\s*)?(?:{names}))[*\"”]{{0,3}}"
    assert GRAMMAR.holding is not None
    holding = rf"{GRAMMAR.holding.pattern}|{named}\s+is\s+the\s+(?:correct|right)\s+(?:answer|choice|option){ENDING}"
    return GRAMMAR._replace(holding=re.compile(holding, re.IGNORECASE)) if names else GRAMMAR


def gold_text(reference: ChoiceReference) -> str:
    """The gold letter in a sentence."""
    return f"The answer is \\boxed{{{reference.value}}}."


def _stated(reference: ChoiceReference, statement: Statement) -> str | None:
    """The letter that a statement names. "B. Paris" contradicts itself where Paris is another option; "B. Paris is large." does not."""
    behind = statement.line[len(statement.text) :].lstrip(". ") if statement.line.startswith(statement.text) else ""
    letter = _read(reference, statement.text)
    next_one = _said_to_be(reference, behind) if PRONOUN.match(behind) else named_by(reference, SENTENCE_END.split(behind, maxsplit=1)[0])
    if letter is not None and (next_one not in (None, letter) or _adds_another(reference, letter, behind)):
        return None
    letter = letter or (_read(reference, statement.line) if statement.line else None)
    return (
        letter
        or _before_contrast(reference, statement.text)
        or _before_reason(reference, statement.text)
        or _before_apposition(reference, statement.text)
    )


def _before_contrast(reference: ChoiceReference, text: str) -> str | None:
    """The letter that a text names before what the answer is not."""
    said, *others = CONTRAST.split(text, maxsplit=1)
    letter = _read(reference, said) if others else None
    return None if letter is None or _read(reference, others[0]) == letter else letter


def _with_reason(reference: ChoiceReference, text: str) -> str | None:
    """The letter of a whole answer that is a letter and why."""
    return _before_reason(reference, text) if REASONED.match(text) else None


def _before_reason(reference: ChoiceReference, text: str) -> str | None:
    """The letter that a text names before a reason, unless that is another option ("B, which is Paris"; "B, so C") or takes it back."""
    found = BECAUSE.search(text)
    letter = _read(reference, text[: found.start()]) if found else None
    if found is None or letter is None:
        return None
    reason = text[found.start() :]
    said = _said_to_be(reference, reason)
    if said not in (None, letter) or (said is None and TAKEN_BACK.match(reason)):
        return None
    return None if _adds_another(reference, letter, reason) else letter


def _before_apposition(reference: ChoiceReference, text: str) -> str | None:
    """The letter of "B, the gas that plants take up", which names no option."""
    letter, *said = APPOSITION.split(text, maxsplit=1)
    is_plain = said and not mentioned(reference, said[0]) and not NO_APPOSITION.search(said[0])
    found = ALONE.match(undressed(letter)) if is_plain else None
    return known(reference, _group(found)) if found else None


def _said_to_be(reference: ChoiceReference, behind: str) -> str | None:
    """The letter of the option with which begins what stands behind a letter: ", which is Paris", ". It is Paris", ", so C"."""
    found = IDENTIFIED.match(behind)
    if option := named_by(reference, behind):
        return option
    said = END.split(behind[found.end() if found else 0 :], maxsplit=1)[0]
    return _read(reference, BECAUSE.split(said, maxsplit=1)[0])


def _read(reference: ChoiceReference, said: str) -> str | None:
    """The letter of the one option that a text names and nothing else."""
    if letter := _of_first_line(reference, said):
        return letter
    said = HEDGE.sub("", undressed(unicodedata.normalize("NFKC", said)), count=1)
    text = MARKED_LETTER.sub(r"\g<before>\g<letter>", MARKED_END.sub(r"\g<before>\g<rest>", said))
    by_text = named_by(reference, said) or named_by(reference, BEFORE_OPTION.sub("", said, count=1))
    alone = ALONE.match(text)
    by_letter = known(reference, _group(alone)) if alone else None
    if alone and by_text and by_letter and by_text != by_letter:
        return None
    if by_text or alone:
        return by_text or by_letter
    agreeing = _agreeing if text == said else _exactly  # what follows a letter in marks is often said of each option in turn
    for pattern in (LETTERED, BRACKETED, AFTER, BEHIND):
        if found := pattern.match(text):
            agreeing = _exactly if pattern is BEHIND else agreeing
            return agreeing(reference, known(reference, _group(found)), INTRODUCED.sub("", found["text"], count=1))
    spoken = SPOKEN.match(text)
    letter = _exactly(reference, known(reference, _group(spoken)), INTRODUCED.sub("", spoken["text"], count=1)) if spoken else None
    return letter or _by_position(reference, text) or _by_position_and_text(reference, text) or _by_beginning(reference, text)


def _of_first_line(reference: ChoiceReference, said: str) -> str | None:
    """The letter that the first of several lines names, if what follows says why; behind a letter or a text alone it names no other."""
    line, *more = said.strip().split("\n", maxsplit=1)
    if not more:
        return None
    first, behind = undressed(line), more[0]
    with_text, alone = LETTERED.match(first), ALONE.match(first)
    letter = _exactly(reference, known(reference, _group(with_text)), with_text["text"]) if with_text else None
    if letter is None:
        letter = known(reference, _group(alone)) if alone else named_by(reference, PICTURES.sub("", line))
        letter = None if letter and mentioned(reference, behind) - {letter} else letter
    return None if letter is None or _goes_elsewhere(reference, letter, behind) else letter


def _group(found: re.Match[str]) -> str:
    return next(value for name, value in found.groupdict().items() if value and name != "text").upper()


def _agreeing(reference: ChoiceReference, letter: str | None, text: str) -> str | None:
    """A letter that stands with a text, unless the text is another option's or has no word of its own option's, or goes elsewhere."""
    other = named_by(reference, text)
    if letter is None or other is not None:
        return letter if other == letter else None
    option = reference.options[ascii_uppercase.index(letter)]
    is_foreign = len(text) < 80 and not set(WORD.findall(joined(text))) & set(WORD.findall(joined(option)))  # longer ones explain
    return None if is_foreign or _goes_elsewhere(reference, letter, text) else letter


def _exactly(reference: ChoiceReference, letter: str | None, text: str) -> str | None:
    """A letter that stands with the very text of its option; where options are letters themselves, those would be two of them."""
    letters = set(ascii_uppercase[: len(reference.options)].lower())
    has_letters = any(joined(option) in letters for option in reference.options)
    return letter if letter and not has_letters and named_by(reference, text) == letter else None


def _goes_elsewhere(reference: ChoiceReference, letter: str, text: str) -> bool:
    """Whether what is said of an option rejects it, takes it back, or goes on with another one, as a list or a review of them does."""
    shown, rest = joined(text), undressed(text).replace(undressed(reference.options[ascii_uppercase.index(letter)]), "")
    others = [(own.lower(), re.escape(joined(option))) for own, option in lettered(reference) if own != letter]
    return (
        _adds_another(reference, letter, rest)
        or any(re.search(rf"\b{own}[*_]*{BEFORE_TEXT}\s*{option}(?!\w)", shown) for own, option in others)
        or any(known(reference, other) not in (None, letter) for other in LISTED.findall(f"\n{rest}"))
        or RETRACTION.search(rest) is not None
        or REJECTED.search(END.split(rest, maxsplit=1)[0]) is not None
    )


def _adds_another(reference: ChoiceReference, letter: str, text: str) -> bool:
    """Whether a text calls another option right beside one."""
    return ALSO_RIGHT.search(text) is not None and not NEGATION.search(text) and bool(mentioned(reference, text) - {letter})


def _by_position(reference: ChoiceReference, text: str) -> str | None:
    found = POSITION.match(text)
    if found is None:
        return None
    if found["ordinal"]:
        ordinal = found["ordinal"].lower()
        return letter_at(reference, len(reference.options) if ordinal == "last" else ORDINALS.index(ordinal) + 1)
    by_position = letter_at(reference, int(found["number"]))
    if found["named"]:
        return by_position
    starting = {letter for letter, option in lettered(reference) if re.match(rf"{found['number']}(?![\d.,])\W", option)}
    return by_position if starting <= {by_position} else None  # "2" may be the second option, or the one of 2 km


def _by_position_and_text(reference: ChoiceReference, text: str) -> str | None:
    """The letter of "the second option, London"."""
    position, *behind = re.split(r"[,:]", text, maxsplit=1)
    letter = _by_position(reference, undressed(position)) if behind else None
    return letter if letter and named_by(reference, BEFORE_OPTION.sub("", behind[0])) == letter else None


def _by_beginning(reference: ChoiceReference, text: str) -> str | None:
    """The longest option that a text begins with, before a punctuation mark, if it names no other."""
    plain = worded(text.replace("**", ""))
    fitting = [
        (len(worded(option)), letter)
        for letter, option in lettered(reference)
        if re.match(rf"{re.escape(worded(option))}\s*(?:[,;:(–—]|\.\s)", plain)
    ]
    if not fitting:
        return None
    length, letter = max(fitting)
    rest = plain[length:]
    return None if spelt_out(reference, rest) - {letter} or _said_to_be(reference, rest) not in (None, letter) else letter
