"""Texts that people read: no character in them is a command to a terminal, turns a line around, or cannot be seen."""

import json
import re
import unicodedata

# Unicode's controls (Cc), formats (Cf) but for Arabic signs that are seen, line and paragraph separators (Zl, Zp),
# surrogates (Cs) and noncharacters. Joiners have a meaning after a letter of a script that joins, and in emoji; after
# ASCII they hide.
_NONCHARACTERS = "".join(chr(plane + last) for plane in range(0, 0x110000, 0x10000) for last in (0xFFFE, 0xFFFF))
_CONTROLS = "\x00-\x1f\x7f-\x9f"
_FORMATS = (
    "\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u2064\u2066-\u206f\ufeff\ufff9-\ufffb\U0001bca0-\U0001bca3"
    "\U0001d173-\U0001d17a\U00013430-\U0001343f\U000e0000-\U000e007f"
)
_INVISIBLE = re.compile(
    f"[{_CONTROLS}{_FORMATS}\ud800-\udfff\ufdd0-\ufdef{_NONCHARACTERS}]|(?:(?<=[\x00-\x7f])|^)[\u200c\u200d]"
)
_ESCAPED = re.compile(rf"(?![\n\t]|\r\n)(?:{_INVISIBLE.pattern})")
_FILLERS = "\u115f\u1160\u2800\u3164\uffa0"
"""Letters that look like white space."""


def invisible_fault(text: str) -> str | None:
    """Return the fault of a text to store and show, or None."""
    found = _INVISIBLE.search(text)
    if found is not None:
        character = found[0]
        name = unicodedata.name(character, "a control character")
        return f"it has U+{ord(character):04X}, {name}, at character {found.start() + 1}; leave out what cannot be seen"
    if text and not text.strip().strip(_FILLERS).strip():
        return "it is blank; leave it out, or write something that can be seen"
    return None


def visible(text: str) -> str:
    r"""Return a text that is safe on a terminal: invisible characters as JSON escapes, but for line ends and tabs."""
    return _ESCAPED.sub(lambda found: json.dumps(found[0])[1:-1], text)
