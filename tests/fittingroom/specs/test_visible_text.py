"""Texts that people read: what cannot be seen is refused where it is stored and written out where it is shown."""

import json
import sys
import unicodedata

import pytest

from fittingroom.cli.terminal import Terminal
from fittingroom.specs.experiment import ExperimentSpec
from fittingroom.specs.visible_text import invisible_fault, visible
from tests.factories import document

INVISIBLE = {
    "NUL": "\x00", "BEL": "\x07", "ESC": "\x1b", "a line end": "\n", "a tab": "\t", "DEL": "\x7f", "NEL": "\x85",
    "a C1 command": "\x9b", "a soft hyphen": "\xad", "a zero width space": "\u200b", "a word joiner": "\u2060",
    "a byte order mark": "\ufeff", "a line separator": "\u2028", "a paragraph separator": "\u2029",
    "an override": "\u202e", "an isolate": "\u2066", "a mark": "\u200f", "an Arabic mark": "\u061c",
    "a noncharacter": "\uffff", "another noncharacter": "\ufdd0", "one beyond the first plane": "\U0001fffe",
    "a tag": "\U000e0041", "a joiner after ASCII": "a\u200d", "a non-joiner after ASCII": "a\u200c",
}  # fmt: skip
# ruff: noqa: RUF001 - other scripts' letters
VISIBLE = [
    "", "a test", "naïve café", "Größe", "名前", "نام‌ها", "👩‍💻", "क्‍ष", "🏳️‍🌈", "a\u00a0b", "½ × 10⁻³", "الرقم \u0600 ١",
    "e\u0301",
]  # fmt: skip
BLANK = [" ", "   ", "\u3000", "\u00a0", "\u3164", " \u2800 "]


@pytest.mark.parametrize("name", INVISIBLE)
def test_invisible_character_is_named(name: str) -> None:
    text = f"ab{INVISIBLE[name]}c"
    fault = invisible_fault(text)
    assert fault is not None
    assert f"U+{ord(INVISIBLE[name][-1]):04X}" in fault
    assert "at character" in fault


@pytest.mark.parametrize("text", VISIBLE)
def test_visible_text_is_accepted_unchanged(text: str) -> None:
    assert invisible_fault(text) is None
    assert visible(text) == text


@pytest.mark.parametrize("text", BLANK)
def test_blank_text_is_refused(text: str) -> None:
    assert "blank" in str(invisible_fault(text))


def test_rule_follows_unicode() -> None:
    """Every control, format, separator, surrogate and noncharacter, but for signs that are seen, and joiners."""
    seen = {*range(0x600, 0x606), 0x6DD, 0x70F, 0x890, 0x891, 0x8E2, 0x110BD, 0x110CD, 0x200C, 0x200D}
    for code in range(sys.maxunicode + 1):
        character = chr(code)
        category = unicodedata.category(character)
        is_noncharacter = 0xFDD0 <= code <= 0xFDEF or code & 0xFFFE == 0xFFFE
        expected = is_noncharacter or category in {"Cc", "Cf", "Zl", "Zp", "Cs"}
        if category == "Cn" and not is_noncharacter:
            continue  # another version of Unicode may know it
        fault = invisible_fault(f"é{character}é")
        assert (fault is not None) == (expected and code not in seen), hex(code)


@pytest.mark.parametrize("name", INVISIBLE)
@pytest.mark.parametrize("key", ["name", "tags"])
def test_spec_with_invisible_character_is_refused(name: str, key: str) -> None:
    text = f"a{INVISIBLE[name]}c"
    with pytest.raises(ValueError, match=r"cannot be seen|match pattern|valid string"):
        ExperimentSpec.model_validate(document(**{key: [text] if key == "tags" else text}))


@pytest.mark.parametrize("name", INVISIBLE)
def test_terminal_is_not_commanded(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = f"ab{INVISIBLE[name]}c"
    Terminal(width=200).print(text, markup=False, highlight=False)
    shown = capsys.readouterr().out
    if INVISIBLE[name] not in {"\n", "\t"}:
        assert INVISIBLE[name][-1] not in shown
    assert invisible_fault(visible(text).replace("\n", "").replace("\t", "")) is None


@pytest.mark.parametrize("name", [name for name in INVISIBLE if name not in {"a line end", "a tab"}])
def test_visible_json_is_the_same_json(name: str) -> None:
    text = json.dumps({"name": f"ab{INVISIBLE[name]}c"}, ensure_ascii=False)
    assert json.loads(visible(text)) == json.loads(text)


def test_terminal_keeps_its_own_colours(capsys: pytest.CaptureFixture[str]) -> None:
    Terminal(force_terminal=True, color_system="standard").print("[red]x[/]")
    assert "\x1b[31m" in capsys.readouterr().out
