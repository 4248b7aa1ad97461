"""The words by which people and models announce, suppose, deny and correct an answer, in the languages that the verifiers read.

English, German, French, Spanish, Italian, Portuguese, Russian, Chinese, Japanese, Korean and Arabic.
"""

from __future__ import annotations

import re

DRESS = r"[*_]{0,2}"
COLON = r"\s{0,3}[:=：→]"
TOPIC = r"[^.:\n?!。？！]{0,100}?"
"""What the answer is to."""


def _european(noun: str, *, more: str, to: str, verbs: str) -> str:
    """A noun with adjectives behind it, then a colon, or a verb before which may stand what the answer is to."""
    return rf"{noun}\b(?:\s+(?:{more})\b)?{DRESS}(?:{COLON}|(?:\s+(?:{to})\b{TOPIC})?,?\s{{1,3}}(?:{verbs})(?!\w))"


EUROPEAN = "|".join(
    (
        _european(
            "answers?",
            more="here",
            to="to|for|of|in (?:interval|set|exact|simplest|lowest|decimal|fraction)",
            verbs="is|are|equals|must be|should be",
        ),
        _european("antwort", more="hier", to="auf|zu|zur|zum|für", verbs="ist|lautet|beträgt|sind"),
        _european("réponse", more="finale|correcte|exacte", to="à|au|de", verbs="est|sera|sont"),
        _european("respuesta", more="final|correcta|exacta", to="a|al|de", verbs="es|son"),
        _european("risposta", more="finale|corretta|esatta|giusta", to="a|al|alla|di", verbs="è|sono"),
        _european("resposta", more="final|correta|certa|exata", to="a|à|ao|de", verbs="é|são"),
        rf"ответ\b{DRESS}(?:{COLON}|\s+[—–-]|\s+(?:это|равен)\b)",
        r"answers?\s+(?:is|are)(?=n['’]t\s)",
        rf"ans\b\.?{COLON}",
    )
)
ANSWER = "|".join(
    (
        rf"\b(?=[arо])(?:{EUROPEAN})",  # the first letters alone, since a text has many words
        r"\b(?:ist|lautet)\s+(?:die|meine|unsere)\s+(?:\w+\s+)?antwort(?:\s+auf\s+die\s+frage)?\s(?=\S)",
        rf"答案{DRESS}(?:是|为|為|{COLON})|正解{DRESS}(?:は|{COLON})|答え{DRESS}(?:は|{COLON})",
        rf"(?:정답|답){DRESS}(?:은|는|{COLON})",
        rf"(?:الإجابة|الجواب)(?:\s+(?:النهائية|الصحيحة|النهائي|الصحيح))?{DRESS}(?:\s+(?:هي|هو)\b|{COLON})",
        r"^[ \t]*(?:#{1,6}|\*\*)[ \t]*(?:the[ \t]+)?(?:final[ \t]+)?answer[ \t]*(?:\*\*)?[ \t]*\n",
    )
)
"""What announces an answer: "The answer is", "Antwort:", "答案是", or a heading of its own."""
THUS = (
    r"(?:therefore|thus|hence|then|indeed|in\s+fact|actually|really|simply|clearly|obviously|daher|also|somit|folglich|tatsächlich|eigentlich"
    r"|donc|en\s+fait|luego|pues|en\s+realidad|quindi|in\s+realtà|portanto|logo|na\s+verdade)\b"
)
LEAD = rf"(?:[\s*_:：$\"“„«「'`]|\\[\[(]|{THUS})*"
"""Between the announcement and a number or an expression."""
TEXT_LEAD = rf"(?:[\s:：]|[*_]+(?=\s)|{THUS})*"
"""Between the announcement and a text, whose own dress stays whole."""
SAYING = r"(?:think|say|guess|believe|assume|argue|expect|conclude|claim|answer|write|insist|maintain|swear|tell|state)s?"
SAID = r"(?:said|thought|guessed|believed|argued|claimed|wrote|stated|insisted|told|suspected|has\s+it)"
DEEMING = r"(?:thinking|saying|guessing|believing|assuming|arguing|claiming|answering|writing|supposing|insisting|imagining)"
OWN = re.compile(
    r"i|i['’](?:d|ll)|we|we['’](?:d|ll)|us|me|one|let|let['’]s|and|ahead|in|to|this|that|which|it|these|what|calculations?|computation|results?|math"
    r"|mathematics|algebra|logic|equations?|formula|theorem|rule|law|identity|definition|graph|table|figure|diagram|chart|test|criterion|condition|evidence"
)
"""Who says what a writer says himself, or what that is drawn from."""
PERSON = (
    r"(?:(?:answer|solution)\s+key|(?:solution|answer)s?\s+manual|(?:official|published|given)\s+solutions?|(?:text)?books?|internet|friends?|sisters?"
    r"|brothers?|teachers?|classmates?|colleagues?|tutors?|professors?|students?|mothers?|fathers?|neighbou?rs?"
    r"|users?|authors?|people|scholars?|experts?|critics?|others|another(?:\s+one)?|someone|somebody|encyclop\w+"
    r"|wikipedia|google|chatgpt|reddit|quora|forums?|blogs?|websites?|comments?|posts?)"
)
"""Who may say something that the writer does not."""
DIRECTLY = r"(?:\s+(?:so|therefore|thus|hence|then|the|his|her|their|my|your|final|correct|right))*[\s$*_\"“'(\\]*\Z"
"""No more stands between it and a statement."""
# What stands before a statement is searched in small letters, where case-sensitive patterns are several times as fast.
GUESS = r"(?:perhaps|maybe|possibly|vielleicht|peut-être|quizás?|tal\s+vez|forse|magari|talvez|возможно|наверное|может\s+быть)"
ATTRIBUTED = re.compile(
    rf"\b(?:(?:might|may)\s+(?:\w+\s+)?{SAYING}|(?:some|people|students?|many|one)\s+(?:(?:often|\w+ly)\s+)?{SAYING}"
    r"|(?:i|we)\s+(?:\w+\s+)?(?:thought|assumed|believed|guessed)|(?:i|we)(?:['’]d|\s+would)\s+guess"
    rf"|(?:could|might|may)\s+(?:also\s+)?be\s+that|my\s+(?:\w+\s+)?guess|let(?:['’]s|\s+(?:us|me))\s+(?:guess|assume|imagine|pretend)"
    rf"|(?=[pmvqtfвн])(?<!\bor\s)(?<!\boder\s)(?<!\bou\s)(?<!\bo\s)(?<!или\s){GUESS}"
    rf"|(?:mistake|mistaken|wrong|incorrect|error|tempting|tempted)\s+(?:(?:is|was|would\s+be)\s+)?to\s+{SAYING})\b"
    r"|\b(?:dit|pense|affirme|croit|dice|afirma|cree|piensa|diz|acha|afferma|crede|pensa)\s+(?:que|che)\s+(?:l['’]|\w+\s+){0,2}\Z"
    rf"|\bothers\s+that{DIRECTLY}|\w\s*[\"“„«](?:\s*(?:the|my|final|correct)\b)*\s*\Z"
    rf"|(?<!\bi)(?<!\bwe)\s(?:could|would|will)\s+(?:\w+\s+)?{SAYING}\b|有人[^。，]{{0,6}}说|也许|或许|大概|たぶん|おそらく|多分|아마|ربما",
)
"""Before a statement that is others', was one's own before, may be one, or would be a mistake, in the same clause; "or perhaps" adds a
second one."""
TOLD = re.compile(
    r"(?P<subject>\b(?:(?:another|some|no)\s)?[\w'’]+)\s+"
    r"(?:(?:would|will|can|could|must|should|shall|do|does|did|has|have|had|also|now|then|all|still|once|hereby|\w+ly)\s+)*"
    rf"(?:(?!writ|answers?|tell){SAYING}|(?!wrote){SAID}|(?:writes?|wrote|answers?)(?=\s+(?:that|the)\b)|{DEEMING})"
    rf"(?:\s+(?:me|us|him|her|them|you))?(?:\s+also)?(?:\s+that)?{DIRECTLY}",
)
"""Directly before a statement: somebody says it, who may be its writer."""
DENIED = re.compile(r"(?:not|n['’]t|neither|nicht|weder|pas|не)\b", re.IGNORECASE)
"""Behind a verb: what is not the answer."""
DENIED_BEHIND = re.compile(r"(?:では(?:ありません|ない)|じゃない|[이가] 아닙니다|[이가] 아니다)\Z")
NOT_BUT = re.compile(
    r"(?:not|n['’]t|nicht|pas|no|non|não|не)\s+[^\n]{1,80}?,?\s+(?:but(?:\s+rather)?|sondern|mais|sino|ma|mas|а)\s+"
    r"(?!(?:it|that|this|I|we|they|there|es|das|ce|il)\b)(?![^.,:\n]*\b(?:is|are|was|were|would|likely)\b)",
    re.IGNORECASE,
)
"""Behind a verb: "not 5 but", before what is the answer instead."""
NEGATED = re.compile(r"\b(?:neither|nor|not|none|doubt|deny|false|unlikely|weder|noch)\b[^.\n]*\Z", re.IGNORECASE)
"""Before a phrase that holds its value, in the same sentence."""
OTHERWISE = re.compile(r"[.;,]\s*(?:otherwise|or\s+else|ansonsten|sinon)\b,?(?:\s+the)?\s*\Z", re.IGNORECASE)
"""Between two statements of which one holds in one case, and the other in another."""
SUPPOSED = re.compile(
    r"(?:\b(?:suppose|supposing|assume|assuming|assumed|whether|unless|angenommen|supposons|supongamos|supponiamo|suponhamos|допустим)\b"
    r"|假设)[^.\n。]*\Z"
    r"|(?:\b(?:if|falls|wenn|если)\b|\bsi\s+(?=la\b)|\bse\s+(?=[la]\b)|如果|もし|만약)[^.,\n。，、]*\Z",
)
"""Before a statement that is only supposed: what follows a condition with its comma is concluded."""
HEARSAY = re.compile(
    rf"\baccording\s+to\s+(?:\w+\s+){{0,3}}{PERSON}\b(?:(?!\b(?:so|therefore|thus|hence)\b)[^.\n。=])*\Z"
    rf"|\b{PERSON}\s+(?:\w+\s+)?{SAID}\s*:\s*[\"“']?(?:\w+\s+){{0,3}}\Z"
    rf"|\b{GUESS},\s*\Z"
    r"|(?<!\bich)\s(?:sagt|meint|behauptet|glaubt|denkt|vermutet),\s+(?:dass\s+)?die\s+(?:\w+\s+)?\Z",
)
"""Before a statement, with a mark between, that is others' or a guess."""
CONCLUDING = re.compile(r"(?<!\bthat\s)\b(?:so|therefore|thus|hence|but|daher|donc|quindi|portanto|and(?=\s+(?:the|our|my|i|we)\b))\b")
"""Within a clause, before what its writer says himself: "they may say 6 words so the answer is"."""
UNSURE = re.compile(
    r"\b(?=[inud])(?:impossible|(?:not|isn['’]t)\s+(?:possible|true|clear|certain|sure|the\s+case)|unsure|doubt(?:ful)?|unlikely"
    rf"|(?:do|does|did)(?:\s+not|n['’]t)\s+(?:think|believe|know))(?:\s+(?:that|whether|if))?{DIRECTLY}",
)
"""Before a statement, in its clause, that may not be so."""
POSSESSIVE = re.compile(rf"\b(?:his|her|their|{PERSON}['’]s?)\s+(?:(?:final|own|first|correct)\s+)?\Z")
"""Before a noun that announces an answer: whose it is."""
REFUSED = re.compile(
    r"(?:\b(?:incorrect|wrong|false|worst|previous|initial|old|naive|proposed|rejected|tempting|reference|gold|student"
    r"|falsche|fausse|mauvaise|incorrecta|sbagliata|errada)\s*|\bin|\bun)\Z",
)
"""Before a noun that announces an answer: which answer it is not."""
DENIED_BEFORE = re.compile(
    r"\b(?:(?:not|isn't|aren't|never|cannot|(?:ca|wo|could|would)n['’]t|nicht|kein|pas|не)\s+(?:possibly\s+)?(?:be\s+|equal\s+(?:to\s+)?)?"
    r"|no\s+way\s+(?:that\s+)?)(?:[$*_(]|\\[\[(])*\Z",
)
DENIED_AFTER = re.compile(
    r"(?:[\s$*_)]|\\[\])])*(?:[?？]|(?:is|was|would\s+be)\s+(?:not|wrong|incorrect|false)\b|isn't\b|ist\s+(?:nicht|falsch)\b)",
    re.IGNORECASE,
)
"""Around a value that is held or boxed: it is denied, or asked."""
RETRACTION = re.compile(
    r"(?:^|[.!?\n]\s*|[−–—-]\s*|\bbut\s+)(?:oh\s+)?(?:but\s+)?(?:(?:wait|hmm+|oops|sorry|actually|correction|never\s*mind|hold\s+on|my\s+mistake"
    r"|on\s+second\s+thoughts?|no\s+wait|nein|moment|attend[sz]|attendez|espera|espere|aspett[ai]|warte"
    r"|подожди(?:те)?|стоп)\b|(?:no|nope|нет)\s*(?:[.,!]|\Z))"
    r"|\b(?:that|this|which)(?:'s|\s+is|\s+was)\s+(?:wrong|incorrect|not\s+(?:right|correct))\b"
    r"|\b(?:that|this)\s+(?:can't|cannot|can\s+not|couldn't|doesn't|does\s+not|isn't|wasn't)\s+(?:be\s+|seem\s+|look\s+|sound\s+|make\s+)?"
    r"(?:right|correct|true|sense)\b"
    r"|\b(?:but|however),?\s+(?:that|this|it)(?:\s+(?:isn't|is\s+not|wasn't|can't\s+be|cannot\s+be|does\s+not\s+satisfy|doesn't\s+satisfy|fails)\b"
    r"|(?:'s|\s+is)\s+(?:just\s+|only\s+)?an?\s+(?:distractor|trap|trick)\b)"
    r"|\bI\s+(?:made|have\s+made)\s+(?:a|an)\s+(?:mistake|error)\b|\bI\s+(?:misread|miscounted|miscalculated|misunderstood)\b"
    r"|\b(?:the|my)\s+(?:(?:earlier|previous|first|initial|original)\s+)?(?:answer|result|value|solution)(?:\s+(?:above|given|stated))?"
    r"\s+(?:is|was)\s+(?:therefore\s+|thus\s+|hence\s+)?(?:wrong|incorrect|not\s+(?:right|correct))\b"
    r"|\b(?:(?:scratch|strike|ignore|disregard)\s+(?:that|the\s+above)|please\s+(?:ignore|disregard)\s+(?:it|this))\b(?=[.,;!\n]|\s*\Z)"
    r"|(?:\bI(?:\s+have|['’]ve)?|\babove)\s+used\s+the\s+wrong\b"
    r"|\b(?:my|the|this)\s+(?:answer|result|conclusion|solution|argument)(?:\s+above)?\s+(?:does\s+not|doesn['’]t)\s+hold\b"
    r"|\b(?:take\s+(?:that|it)|(?:reject|discard)\s+(?:it|this|that))\b(?=\s+back|[.,;!]|\s*\Z)"
    r"|\b(?:c'est\s+faux|das\s+(?:ist\s+falsch|stimmt\s+nicht)|e?so\s+(?:es|está)\s+(?:incorrecto|mal)|è\s+(?:sbagliato|errato)|está\s+errado"
    r"|это\s+(?:неверно|неправильно|не\s+так|ошибка))\b|不对|等等|这是错的|いや、|間違い(?:です|だ|でし|まし)",
    re.IGNORECASE,
)
"""Behind the last statement: its writer takes it back."""
CONFIRMED = re.compile(
    r"(?:\b(?:yes|okay|ok|good|great|indeed|so|and)\b[\s,.!]*)*\b(?:(?:that|this|it|the\s+answer)(?:['’]s|\s+is)\s+(?:indeed\s+|still\s+)?"
    r"(?:correct|right|confirmed)|(?:that|this|it|everything)\s+(?:indeed\s+)?(?:holds|checks\s+out|matches|works)"
    r"|(?:the|my)\s+(?:answer|result)\s+(?:stands|holds)|(?<=\byes,\s)correct)\W*\Z",
    re.IGNORECASE,
)
"""At the end of a text: what was said last before stands."""
CALLED_FALSE = re.compile(r"\b(?:not\s+(?:right|correct)|wrong|incorrect|should\s+be)\b", re.IGNORECASE)
"""In a look back: it does not confirm what it looks at."""
CORRECTED_AT_ONCE = re.compile(r"[,;–—-]?\s+(?:(?:no\s+)?wait\b|sorry\b|no\s*[,!:]|actually,?\s+(?=[\w$\\(*-]))", re.IGNORECASE)
"""Directly behind the last statement, in its sentence."""
INSTEAD = re.compile(
    r"\b(?:it|that|this)\s+should\s+(?:actually\s+|really\s+|instead\s+)?(?:be|have\s+been)\s+(?P<value>[^\n.!?,;]+)", re.IGNORECASE
)
"""Behind the last statement: what it should be, if that is another value."""
CORRECTION = re.compile(
    r"\b(?:wait|no|sorry|actually|correction|instead|rather|mistake|wrong|recheck|hmm|nein|moment|doch|falsch|korrektur|non|attends|erreur"
    r"|espera|perdón|aspetta|espere|нет|подожди|подождите|ошибка)\b|不对|等等|いや|待って|아니",
    re.IGNORECASE,
)
"""After it a statement stands alone, whatever was stated before."""
REASON = (
    r"because|since|although|even\s+though|as|which|where|so|but|no|wait|sorry|actually|therefore|thus|hence|obtained|found|calculated|computed"
    r"|given|rounded|using"
    r"|and\s+(?:I|we|this|that|it|so|therefore)"
    r"|weil|da|denn|(?<=,\s)was|also"
    r"|car(?=\s+(?:ils?|elles?|on|les?|la|l['’]|c['’]|nous|cela|une?|chaque|tou\w+|\d))"
    r"|puisque|parce|donc|porque|ya\s+que|pues|perché|poiché|quindi|pois|então|так\s+как|потому|поскольку"
)
NAMELY = r"i\.e|that is|namely|meaning|d\.\s?h|das heißt|nämlich|c'est-à-dire|es decir|cioè|ou seja"
EXPLAINED = (
    r"(?<=[\d}$%*])\s\((?![^()\n]*\b(?:not|sure|should|could|might|may|maybe|perhaps|possibly|alternatively|either|or|oder|ou|base|mod|modulo"
    r"|thousand|million|billion|hundred|dozen|factorial|squared|cubed|wrong|incorrect|zero|one|two|three|four|five|six|seven|eight|nine|ten|eleven"
    r"|twelve|\w+teen|\w+ty)\b)(?=[^()\n]*(?<![\\{A-Za-z])[A-Za-z]{4,})(?=[^()\n]*\)[\s*_$.]*(?:\n|\Z))"
)
"""A bracket with words, which explains a value before it."""
CLAUSE = re.compile(
    rf",?\s+(?:{REASON})\b|,\s+(?:{NAMELY}|not|nicht|pas)\b|\s*\(\s*(?:{REASON})\b|{EXPLAINED}|，\s*(?:因为|因為|所以|而)|なので|から(?=[、。])|、",
    re.IGNORECASE,
)
"""Where a reason begins, which is no part of the value."""
CORRECTED = re.compile(r"[,;–—-]?\s+(?:no|wait|sorry|actually|nein|moment|non|espera|aspetta|нет)\b[,:!]", re.IGNORECASE)
"""Where a writer corrects himself within a sentence."""
LINK = re.compile(
    r"(?:[\s.,;:!*_$()\[\]\\。，；：]|</?answer>|\b(?:answers?|is|are|ist|lautet|est|es|è|é|method\s+\d|and|or|so|thus|hence|therefore|the"
    r"|final|correct|our|my|i\.e|und|oder|also|daher|die|das|et|ou|donc|la|le|y|o|el|il|a|ou|и|или)\b|因此|所以)*",
    re.IGNORECASE,
)
"""Between statements that are made in one breath."""
TRAILING = re.compile(r"(?:[\s,:=≈，：]|\b(?:and|or|so|thus|the|that|i\.e\.?))+$", re.IGNORECASE)
PICTURES = re.compile(r"[\s\u2600-\u27bf\u2b00-\u2bff\ufe0f\U0001f000-\U0001faff]+\Z")
ENDING = re.compile(r"(?:です|である|だ|입니다|이다|예요|이에요|了)\Z")
"""What a language puts behind the value to end its sentence."""
