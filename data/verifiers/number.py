"""Verifier of answers that are one number: exact, pure and of linear time, so it runs in the stage's own process.

The last explicit statement wins (data.verifiers.statements); numbers are read as data.verifiers.quantity says and compared as fractions,
never as floats: 3.33 is not 10/3. "50%" answers 50 as well as 0.5.
"""

from __future__ import annotations

import re

from data.records import NumberReference, Outcome
from data.verifiers.contract import MAX_ANSWER_CHARACTERS, Judgement
from data.verifiers.marks import has_decimal_comma
from data.verifiers.number_words import NUMBER_WORD
from data.verifiers.quantity import Quantity, read_quantity
from data.verifiers.settling import settle
from data.verifiers.statements import SENTENCE_END, Statement, final_statements

NAME = "number"
VERSION = "5"
INLINE = True
NUMERAL = re.compile(rf"\d|{NUMBER_WORD.pattern}", re.IGNORECASE)
BY_LANGUAGE = re.compile(r"[,，．]|\.(?![0-9]{1,2}(?![0-9\\]|[^\x00-\x7f])|[0-9]{4})")
"""Marks that may mean one thing or another; a point before one, two or four digits parts decimals everywhere."""
OPTION = re.compile(r"\A\s*\([A-J]\)\s+(?=[-−$]?\d[^+]*\Z)")
"""The letter of an option before its number."""
OR = re.compile(r",?\s+or\s+(?:equivalently,?\s+)?")
BRACKETED = re.compile(r"(?P<before>[^()]*)\((?:or\s+)?(?P<inside>[^()]+)\)(?P<behind>[^()]*)")
"""A second spelling of the same number: "1/4, or 25%", "eighteen (18) dollars"."""
VERB = (
    r"(?:has|have|had|makes?|made|earns?|earned|gets?|got|costs?|pays?|paid|needs?|needed|is|are|was|were|sells?|sold|spends?|spent|takes?|took"
    r"|receives?|received|saves?|saved|owes?|owed|eats?|ate|drinks?|drank|buys?|bought|reads?|writes?|wrote|weighs?|travell?(?:s|ed)|walks?|walked"
    r"|runs?|ran|uses?|used|collects?|collected|bakes?|baked|comes?|came|will|hat|haben|ist|sind|bezahlt|zahlt|zahlen|kostet|braucht"
    r"|beträgt|ergibt|ont|coûte|paie|mesure|pèse|tiene|paga|cuesta|recorre|mide|pesa|costa|misura|è|é|es|est|равна|равен|равно|составляет)"
)
FILLING = (
    r"(?:now|about|only|exactly|left|still|therefore|then|also|altogether|insgesamt|be|been|to|up|give|pay|take|have|need|buy|sell|make|cost|earn|save|spend"
    r"|read|drink|eat|bake|work|walk|an?\s(?:grand\s)?(?:total|profit|loss|volume|sum|distance|speed|length|weight|mass)\sof"
    r"|(?:her|his|their|the)\s[^\W\d]+(?:\s[^\W\d]+)?)"
)
"""What may stand between a verb and its number."""
SENTENCE = re.compile(
    rf"(?:In\s(?:1[5-9]|20)\d\d,?\s)?(?P<subject>[^\W\d_][^\W\d]*(?:['’]s)?(?:,?\s[^\W\d][\w'’-]*){{0,10}}?)\s{VERB}"
    rf"(?:\s{FILLING}){{0,5}}"
    r"\s(?P<number>[-−]?(?:\\?[$€£¥₹]\s?)?\d[^\n]*)"
)
"""A sentence that says a number of somebody, as some models write behind "Answer:"; nothing between its verb and the number reckons."""
MORE = re.compile(r"(?<=\d)\smore\s")
"""A number of what there is more of, as long as no "than" follows."""
EACH = re.compile(r"\b(?:each|apiece|per)\b")
"""Of several whose number is said, each one's is not all of them."""
WITH_DIGITS = re.compile(r"\b[^\W\d]\w*\d\w*")
"""A name such as CO2."""
THE_TWO = re.compile(rf"\b(?:the|all|die|los|las|les)\s+(?:{NUMBER_WORD.pattern})\b", re.IGNORECASE)
"""How many they are of whom a sentence speaks."""
NO_VALUE = re.compile(
    r"\b(?:step|option|question|part|problem|example|equation|case|chapter|page|line|section|figure|not|never|no|nobody|none|if|unless|but|too|than"
    r"|least|most|over|under|above|below|between|from|cannot|or|either|whether|false|wrong|guess|doubt|say|might|may|could|half|up\s+to|roughly"
    r"|should|by|times|plus|minus|negative|except|nearly|almost|naive|thought|expect\w*"
    r"|unclear|unknown)\b|n['’]t\b|[(?]",
    re.IGNORECASE,
)
"""In a sentence: what names, bounds, supposes or denies its number."""


def judge(reference: NumberReference, answer_text: str) -> Judgement:
    """Judge the text after the thinking."""
    gold = read_quantity(reference.value)
    if gold is None:
        return Judgement(Outcome.ERROR, None, f"the gold answer {reference.value!r} is not one number")

    def verdict(_: Statement, number: Quantity) -> Judgement:
        return Judgement(Outcome.RIGHT if gold.answered_by(number) else Outcome.WRONG, str(number), f"last statement, gold {gold}"[:300])

    stated = statements(reference, answer_text)
    comma = any(BY_LANGUAGE.search(statement.text) for statement in stated) and has_decimal_comma(answer_text)
    finals = [(statement, _read(statement.text, comma) or _of_sentence(statement.line or statement.text, comma)) for statement in stated]
    return settle(finals, "one number", same=Quantity.answered_by, judge=verdict)


def statements(reference: NumberReference, answer_text: str) -> list[Statement]:
    """The final statements of an answer."""
    return final_statements(answer_text[-MAX_ANSWER_CHARACTERS:])


def gold_text(reference: NumberReference) -> str:
    """The gold answer in a sentence."""
    return f"The answer is \\boxed{{{reference.value}}}."


def _read(text: str, comma: bool) -> Quantity | None:
    """The number that a statement says, once or several times over."""
    text = OPTION.sub("", text, count=1)
    whole = read_quantity(text, comma=comma)
    bracketed = BRACKETED.fullmatch(text)
    if bracketed and "=" not in bracketed["behind"] and NUMERAL.search(bracketed["inside"]):
        outside = bracketed["before"] + bracketed["behind"]
        spellings = [*([outside] if re.search(r"\w", outside) else []), bracketed["inside"]]
    else:
        spellings = OR.split(text)
    if spellings == [text]:
        return whole
    first, *others = [read_quantity(spelling, comma=comma) for spelling in spellings]
    same = first is not None and all(other and (first.answered_by(other) or other.answered_by(first)) for other in others)
    return first if same else None


def _of_sentence(line: str, comma: bool) -> Quantity | None:
    """The only number of the sentence with which a line begins, whole: what follows a "but" may undo what stands before it."""
    sentence = SENTENCE_END.split(line, maxsplit=1)[0].replace("**", "").strip()
    found = SENTENCE.fullmatch(sentence)
    if found is None or NO_VALUE.search(sentence):
        return None
    if THE_TWO.search(sentence) and EACH.search(sentence):
        return None
    before = WITH_DIGITS.sub("", THE_TWO.sub("", sentence[found.start("subject") : found.start("number")]))
    return None if NUMERAL.search(before) else read_quantity(MORE.sub(" ", found["number"], count=1), comma=comma)
