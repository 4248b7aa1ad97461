r"""One spelling for formulas: Unicode signs, Markdown dress, plain-text functions and LaTeX's synonyms become one small LaTeX.

`plain` gives the text that data.verifiers.formula.reading takes apart. In it "or" and "and" between values are the signs OR and AND,
all texts are `\text{…}`, and degrees are `°`.
"""

from __future__ import annotations

import re
import unicodedata

from data.verifiers.formula.brackets import argument
from data.verifiers.formula.units import LETTERS
from data.verifiers.marks import REPEATING, repeating

OR, AND = "⋁", "⋀"
FUNCTIONS = "arcsin|arccos|arctan|sinh|cosh|tanh|sin|cos|tan|cot|sec|csc|log|ln|exp|max|min|gcd|lcm"
GREEK = "alpha|beta|gamma|delta|epsilon|zeta|theta|lambda|mu|omega|phi|pi|psi|rho|sigma|tau"
SIGNS = {
    "∞": r"\infty ", "≤": r"\le ", "≥": r"\ge ", "≠": r"\ne ", "±": r"\pm ", "∓": r"\mp ", "×": r"\times ", "·": r"\cdot ", "⋅": r"\cdot ",
    "÷": "/", "∪": r"\cup ", "∩": r"\cap ", "∈": r"\in ", "∅": r"\emptyset ",
    "ℝ": r"\mathbb{R}", "ℤ": r"\mathbb{Z}", "ℕ": r"\mathbb{N}",
    "ℚ": r"\mathbb{Q}", "−": "-", "–": "-", "⟨": r"\langle ", "⟩": r"\rangle ", "∣": "|", "≡": r"\equiv ",
    "…": r"\ldots ", "′": "'", "∖": r"\setminus ",
}  # fmt: skip
RELATIONS = {"leq": "le", "leqslant": "le", "geq": "ge", "geqslant": "ge", "neq": "ne", "lt": "<", "gt": ">"}
TEXT = r"\\text"
COUNTED = re.compile(r"(?:[\d}]|\\pi)(?:\s|\\[,;: ]|~)*\Z")
"""Before a unit."""
AFTER_UNIT = re.compile(r"\s*(?:\^\s*\{?-?\d\}?)?(?:[\s.$)\]]|\\[,;: )\]])*(?:\Z|/?\s*\\text\b)")
"""Behind a unit: the end, or another unit."""
SYNONYMS = (
    (re.compile(r"\\[dtc]frac(?![A-Za-z])"), r"\\frac"),
    (re.compile(r"\\(?:left|right)\s*\."), ""),
    (re.compile(r"\\(?:left|right|[bB]igg?[lr]?|displaystyle|textstyle|limits|boldsymbol|rm|bf|it)(?![A-Za-z])"), ""),
    (re.compile(r"(?<!\\)\\!|\{\}(?=\d)"), ""),
    (re.compile(r"\\math(?:bf|it|sf|normal)\s*\{\s*([A-Za-z])\s*\}"), r"\1"),
    (re.compile(r"\\mathrm\s*\{\s*i\s*\}"), "i"),
    (re.compile(r"\\(?:math(?:rm|bf|it|sf|normal)|text(?:bf|it|rm|normal|up|sf|tt)?|mbox|operatorname\*?|emph|underline)\s*(?=\{)"), TEXT),
    (re.compile(rf"\\text\{{\s*({FUNCTIONS})\s*\}}"), r"\\\1 "),
    (re.compile(r"(\\text\{\s*[A-Za-z]+)\s*\}\s*(\^\s*\{?-?\d\}?)?\s*/\s*\\text\{\s*([A-Za-z]+\s*\})"), r"\1\2/\3"),  # units
    (re.compile(r"\\text\{\s*([A-Za-z])\s*\}(?=\s*[\^_(A-Za-z\\+*/=-])(?!\s*\\text)"), lambda found: _name_or_unit(found)),
    (re.compile(r"\\(?:leq|leqslant|geq|geqslant|neq|lt|gt)(?![A-Za-z])"), lambda found: _relation(found[0])),
    (re.compile(r"\\not\s*="), r"\\ne "),
    (re.compile(r"\\not\s*\\in(?![A-Za-z])"), r"\\notin "),
    (re.compile(r"\\(?:varnothing|O)(?![A-Za-z])"), r"\\emptyset "),
    (re.compile(r"\\(?:R|reals|Reals)(?![A-Za-z])"), r"\\mathbb{R}"),
    (re.compile(r"\\sqrt\s*\[\s*(\d*[13579])\s*\]\s*\{\s*-\s*(\d+|\d*[a-z])\s*\}"), r"(-\\sqrt[\1]{\2})"),  # the real root
    (re.compile(r"\\(?:lbrace)(?![A-Za-z])"), r"\\{"),
    (re.compile(r"\\(?:rbrace)(?![A-Za-z])"), r"\\}"),
    (re.compile(r"\\(?:mid|vert|lvert|rvert)(?![A-Za-z])"), "|"),
    (re.compile(r"\\colon(?![A-Za-z])"), ":"),
    (re.compile(r"\\backslash(?![A-Za-z])"), r"\\setminus "),
    (re.compile(r"\\(?:dots|cdots|dotsc)(?![A-Za-z])|\.\.\.+"), r"\\ldots "),
    (re.compile(r"\^\s*(?:\{\s*\\circ\s*\}|\\circ(?![A-Za-z]))|\\degree(?![A-Za-z])|\s*\\text\{\s*degrees?\s*\}|\s*\bdegrees?\b"), "°"),
    (re.compile(r"(?<!\\)\\(?:[,;: ]|quad|qquad|enspace|thinspace)(?![A-Za-z])|~|\n|\t"), " "),
    (re.compile(r"\\text\{\s*(?:percent|per cent)\s*\}|\s\b(?:percent|per cent|pct)\b"), r"\\%"),
)  # fmt: skip
JUNCTIONS = (
    (re.compile(r",?\s*(?:\\text\{\s*,?\s*or\s*\}|(?<![A-Za-z\\])or(?![A-Za-z])|\\lor(?![A-Za-z])|\\vee(?![A-Za-z]))\s*"), f" {OR} "),
    (re.compile(r",?\s*(?:\\text\{\s*,?\s*and\s*\}|(?<![A-Za-z\\])and(?![A-Za-z])|\\land(?![A-Za-z])|\\wedge(?![A-Za-z]))\s*"), f" {AND} "),
)
DRESS = re.compile(r"\\[()]|(?<!\\)\\[\[\]]|(?<!\\)\$|`")
POWER_STARS = re.compile(r"(?<=[\w)}\]])\*\*(?=[\w({\\-])")
PLAIN_FUNCTION = re.compile(rf"(?<![A-Za-z\\{{])(?:{FUNCTIONS})(?![a-z])")
PLAIN_GREEK = re.compile(rf"(?<![A-Za-z\\])(?:{GREEK})(?![A-Za-z])")
PLAIN_INFINITY = re.compile(r"(?<![A-Za-z\\])(?:infinity|infty|inf|oo)(?![A-Za-z])|\\text\{\s*infinity\s*\}", re.IGNORECASE)
PLAIN_SIGNS = ((re.compile(r"<="), r"\\le "), (re.compile(r">="), r"\\ge "), (re.compile(r"!=(?!=)"), r"\\ne "), (re.compile(r"=="), "="))
ROOT_OF_BRACKET = re.compile(r"\\?(?<![A-Za-z])sqrt\s*\(")
ROOT_OF_TOKEN = re.compile(r"√\s*(\d+(?:\.\d+)?|[A-Za-z])")
POWER_OF_BRACKET = re.compile(r"\^\s*\(")
PLAIN_POWER = re.compile(r"\^\s*(-?\d{2,}|-\s*(?:\d+|[A-Za-z]))")
SHORT_FRACTION = re.compile(r"\\frac\s*(\d)\s*(\d)")
SHORT_ROOT = re.compile(r"\\sqrt\s*(\d|[A-Za-z](?![A-Za-z]))")
GROUPED = re.compile(r"(?<![\d.])\d{1,3}(?:(?:\{,\}|\\,)\d{3})+(?!\d)")
PRIME = re.compile(r"(?<=[A-Za-z}])(?:'+|\^\s*\{?\s*(?:\\prime\s*)+\}?)")
FRENCH = re.compile(r"([\[\]])([^\[\]]*[;,][^\[\]]*)([\[\]])")


def plain(text: str) -> str:
    """`text` in the one spelling."""
    shown = PRIME.sub(lambda found: "_{p" + "p" * found[0].count("'") + "}", _signs(text))
    shown = POWER_STARS.sub("^", DRESS.sub(" ", shown)).replace("**", " ").strip().strip("*_").strip()
    for pattern, replacement in SYNONYMS:
        shown = pattern.sub(replacement, shown)
    shown = GROUPED.sub(lambda found: re.sub(r"\D", "", found[0]), shown).replace("{,}", ",")
    for pattern, replacement in (*JUNCTIONS, *PLAIN_SIGNS):
        shown = pattern.sub(replacement, shown)
    shown = REPEATING.sub(repeating, _french(shown.strip().rstrip(".,;: ").strip()))
    return _functions(shown)


def _name_or_unit(found: re.Match[str]) -> str:
    """A single letter that is written as text: a unit where a number stands before it and it may be one, else a name."""
    is_counted = found[1] in LETTERS and COUNTED.search(found.string[max(0, found.start() - 20) : found.start()])
    return found[0] if is_counted and AFTER_UNIT.match(found.string, found.end()) else found[1]


def _relation(command: str) -> str:
    sign = RELATIONS[command[1:]]
    return sign if sign in "<>" else f"\\{sign} "


def _signs(text: str) -> str:
    """Unicode's mathematical signs as LaTeX or ASCII."""
    shown = re.sub(r"√\s*\(", "sqrt(", text)
    shown = ROOT_OF_TOKEN.sub(r"\\sqrt{\1}", shown)
    shown = re.sub(r"([⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿⁱˣ]+)", lambda found: f"^{{{_lowered(found[0])}}}", shown)
    shown = re.sub(r"([₀₁₂₃₄₅₆₇₈₉]+)", lambda found: f"_{{{_lowered(found[0])}}}", shown)
    return "".join(_sign(character) for character in shown)


def _lowered(text: str) -> str:
    return unicodedata.normalize("NFKC", text).replace("−", "-")


def _sign(character: str) -> str:
    if character.isascii():
        return character
    if character in SIGNS:
        return SIGNS[character]
    name = unicodedata.name(character, "")
    if name.startswith("GREEK SMALL LETTER ") and re.fullmatch(GREEK, name[19:].lower()):
        return f"\\{name[19:].lower()} "
    if unicodedata.decomposition(character).startswith("<fraction>"):
        top, _, bottom = unicodedata.normalize("NFKC", character).partition("⁄")
        return f"\\frac{{{top}}}{{{bottom}}}"
    return unicodedata.normalize("NFKC", character)


def _french(text: str) -> str:
    """`]2;5[` as `(2;5)`: brackets that are turned away exclude the end."""
    if not (text.startswith("]") or text.endswith("[")):
        return text
    return FRENCH.sub(lambda found: f"{'(' if found[1] == ']' else '['}{found[2]}{')' if found[3] == '[' else ']'}", text)


def _functions(text: str) -> str:
    """Functions, roots and powers written as in plain text."""
    shown = PLAIN_INFINITY.sub(r"\\infty ", text)
    shown = PLAIN_FUNCTION.sub(r"\\\g<0> ", PLAIN_GREEK.sub(r"\\\g<0> ", shown))
    shown = _braced(shown, ROOT_OF_BRACKET, "\\sqrt")
    shown = _braced(shown, POWER_OF_BRACKET, "^")
    shown = PLAIN_POWER.sub(lambda found: f"^{{{found[1].replace(' ', '')}}}", shown)
    return SHORT_ROOT.sub(r"\\sqrt{\1}", SHORT_FRACTION.sub(r"\\frac{\1}{\2}", shown))


def _braced(text: str, opening: re.Pattern[str], command: str) -> str:
    """`sqrt(…)` and `^(…)` with braces; an unclosed one stays."""
    shown, begin = [], 0
    for found in opening.finditer(text):
        end = argument(text, found.end() - 1)
        if found.start() < begin or end == found.end() - 1:
            continue
        shown.append(f"{text[begin : found.start()]}{command}{{{_braced(text[found.end() : end - 1], opening, command)}}}")
        begin = end
    return "".join(shown) + text[begin:]
