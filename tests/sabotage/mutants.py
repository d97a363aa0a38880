"""
Mechanical mutants of C: every condition negated, every assignment and every call dropped.

The source is read as tokens, no more, so this knows only the shapes that clang-format leaves:
- the condition of if, while, for and ?: is negated as a whole;
- so is each operand of && and ||, wherever it stands;
- so is what is compared or negated with ! anywhere else: returned, assigned, given to a call, but
  not what is asserted;
- a statement that assigns (=, +=, ..., ++, --) or only calls becomes an empty one; initializers
  and assertions stay.
"""

import re
from collections import namedtuple

# |name| stays the same when lines move: function, kind, text, and which of those that read alike.
Mutant = namedtuple("Mutant", "name kind begin end")
Token = namedtuple("Token", "text begin end")

TOKEN = re.compile(r"""
    (?P<skip>\s+ | /\*.*?\*/ | //[^\n]* | \#(?:[^\n\\]|\\.)*\n)
  | "(?:[^"\\]|\\.)*" | '(?:[^'\\]|\\.)*'
  | \w+
  | <<= | >>= | -> | \+\+ | -- | && | \|\| | == | != | <= | >= | << | >> | [-+*/%&|^]=
  | .
""", re.VERBOSE | re.DOTALL)
ASSIGNS = {"=", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "<<=", ">>=", "++", "--"}
# What an operand of && and || cannot extend over, beside brackets.
ENDS = {"&&", "||", "?", ":", ",", ";", "return"} | (ASSIGNS - {"++", "--"})
COMPARES = {"==", "!=", "<", ">", "<=", ">="}
DECLARES = {"const", "static", "struct", "enum", "bool", "int", "unsigned", "size_t", "uint64_t",
            "uint32_t", "void", "char"}
OPEN, CLOSE = set("([{"), set(")]}")


def tokens_of(source):
    return [Token(found.group(), found.start(), found.end()) for found in TOKEN.finditer(source)
            if not found.group("skip")]


def matching(tokens, at):
    """The index of the bracket that closes the one at |at|."""
    depth = 0
    for index in range(at, len(tokens)):
        depth += (tokens[index].text in OPEN) - (tokens[index].text in CLOSE)
        if depth == 0:
            return index
    raise ValueError("a bracket is not closed")


def operand(tokens, at, step, ends):
    """From |at| on, in the direction |step|: the last token before one of |ends| or a bracket."""
    inward, outward = (OPEN, CLOSE) if step > 0 else (CLOSE, OPEN)
    depth = 0
    while 0 <= at < len(tokens):
        text = tokens[at].text
        if depth == 0 and (text in outward or text in ends):
            return at - step
        depth += (text in inward) - (text in outward)
        at += step
    raise ValueError("an operand does not end")


def conditions(tokens):
    """(first, last) token of each condition and each operand, each once."""
    found = {}
    asserted = 0  # Up to there.
    for at, token in enumerate(tokens):
        if token.text == "assert":
            asserted = matching(tokens, at + 1)
        if token.text in ("if", "while"):
            found[at + 2, matching(tokens, at + 1) - 1] = None
        elif token.text == "for":
            begin = operand(tokens, at + 2, 1, {";"}) + 2
            found[begin, operand(tokens, begin, 1, {";"})] = None
        elif token.text == "?":
            found[operand(tokens, at - 1, -1, ENDS - {"&&", "||"}), at - 1] = None
        elif token.text in ("&&", "||"):
            found[operand(tokens, at - 1, -1, ENDS), at - 1] = None
            found[at + 1, operand(tokens, at + 1, 1, ENDS)] = None
        elif at > asserted and (token.text in COMPARES or token.text == "!"):
            found[operand(tokens, at, -1, ENDS), operand(tokens, at, 1, ENDS)] = None
    return sorted(found)


def functions(tokens):
    """(name, first, last) of each body."""
    at = 0
    while at < len(tokens):
        if tokens[at].text in OPEN:
            end = matching(tokens, at)
            if tokens[at].text == "{" and at > 0 and tokens[at - 1].text == ")":
                begin = at - 1
                while tokens[begin].text != "(" or matching(tokens, begin) != at - 1:
                    begin -= 1
                yield tokens[begin - 1].text, at + 1, end - 1
            at = end
        at += 1


def does(words):
    """Does a statement of these words assign, or only call?"""
    if not words or words[0] in DECLARES or words[0] in ("return", "assert") or words[0].isupper():
        return False  # What a macro makes is not looked at.
    return bool(ASSIGNS & set(words)) or (words[0][0].isalpha() and words[1:2] == ["("])


def statements(tokens, first, last):
    """(first, last) of each statement of a body that does something."""
    begin, at = first, first
    while at <= last:
        text = tokens[at].text
        if text in ("if", "while", "for", "switch"):
            at = matching(tokens, at + 1)
            begin = at + 1
        elif text in ("{", "}", "else", "do"):
            begin = at + 1
        elif text == ":" and tokens[begin].text in ("case", "default"):
            begin = at + 1
        elif text == ";":
            if does([token.text for token in tokens[begin:at]]):
                yield begin, at - 1
            begin = at + 1
        elif text in OPEN:
            at = matching(tokens, at)
        at += 1


def mutants_of(source):
    tokens = tokens_of(source)
    seen, mutants = {}, []

    def add(function, kind, first, last):
        begin, end = tokens[first].begin, tokens[last].end
        name = f"{function}: {kind} {' '.join(source[begin:end].split())}"
        seen[name] = seen.get(name, 0) + 1
        if seen[name] > 1:
            name += f" ({seen[name]})"
        mutants.append(Mutant(name, kind, begin, end))

    all_conditions = conditions(tokens)
    for function, first, last in functions(tokens):
        for begin, end in all_conditions:
            if first <= begin <= last:
                add(function, "not", begin, end)
        for begin, end in statements(tokens, first, last):
            add(function, "drop", begin, end)
    return mutants


def with_all(source, numbered):
    """
    The source with all of its mutants, {number: Mutant}; which one is at work says wst_mutant when
    the program runs.  So it is compiled only once.
    """
    edits = []
    for number, mutant in numbered.items():
        if mutant.kind == "not":
            before, after = f"((wst_mutant == {number}) != !!(", "))"
        else:
            before, after = f"(void)(wst_mutant == {number} || ((void)(", "), 1))"
        size = mutant.end - mutant.begin
        # At one place, the longer one is opened first and closed last.
        edits.append((mutant.begin, 1, -size, before))
        edits.append((mutant.end, 0, size, after))
    text, done = "", 0
    for at, _, _, insert in sorted(edits, key=lambda edit: edit[:3]):
        text += source[done:at] + insert
        done = at
    return text + source[done:]
