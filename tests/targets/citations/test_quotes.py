"""Quotes in texts and texts in pages: what is tolerated, what is not, and that hostile pages cost little."""

from __future__ import annotations

import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairgen.targets.citations.fetch import Page, Unreachable
from fairgen.targets.citations.quote import GAP, TooShort, fold, is_in, parse_quote
from fairgen.targets.citations.text import page_text

PASSAGE = "Of all nurses, 12.4 percent don't work full-time — as the “Report” of 2023 says."


def holds(text: str, quote: str = PASSAGE) -> bool:
    return is_in(parse_quote(quote), fold(text))


def reading(html: str | bytes, media_type: str = "text/html", charset: str | None = None) -> str:
    body = html.encode() if isinstance(html, str) else html
    return page_text(Page("https://example.org/", media_type, charset, body)).readings[0]


@pytest.mark.parametrize(
    "text",
    [
        PASSAGE,
        f"Before. {PASSAGE} After.",
        PASSAGE.upper(),
        PASSAGE.replace(" ", "\u00a0\n\t"),
        PASSAGE.replace("—", "-").replace("“", '"').replace("”", "'").replace("'", "\u2019"),
        PASSAGE.replace("—", "–").replace("“", "«").replace("”", "»"),
        PASSAGE.replace("nurses", "nur\u00adses").replace("work", "wo\u200brk"),
        PASSAGE.replace("full-time", "full‑time"),
        PASSAGE.replace("percent", "percent[3]").replace("says", "says[a][citation needed]"),
        PASSAGE.replace("2023", "２０２３").replace("full", "ﬀull".replace("ﬀ", "f")),
        unicodedata.normalize("NFD", PASSAGE),
    ],
)
def test_what_a_quote_is_found_through(text: str) -> None:
    assert holds(text)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("12.4", "124"),
        ("12.4", "12,4"),
        ("12.4", "1.24"),
        ("12.4", "-12.4"),
        ("12.4", "\u221212.4"),
        ("12.4 percent", "12.4% percent"),
        ("nurses", "nurse"),
        ("nurses", "male nurses"),
        ("all nurses", "nurses all"),
        ("don't", "do"),
        ("work", "wörk"),
        ("says", "say so"),
    ],
)
def test_what_changes_the_meaning_is_not_found(old: str, new: str) -> None:
    assert old in PASSAGE
    assert not holds(PASSAGE.replace(old, new))


def test_signs_of_numbers_count() -> None:
    assert holds("they pay $45 or 12% of it each year", "pay $ 45 or 12 % of it each year")
    assert not holds("they pay 45 or 12 of it each year", "pay $45 or 12% of it each year")
    assert not holds("they pay €45 or 12% of it each year", "pay $45 or 12% of it each year")


@pytest.mark.parametrize("ellipsis", ["...", "…", " [...] ", " (…) ", " . . . ", "[…]", "....."])
def test_an_ellipsis_stands_for_a_bounded_gap(ellipsis: str) -> None:
    quote = f"one two three four and five{ellipsis}six seven eight nine"
    first, last = "one two three four and five", "six seven eight nine"
    assert holds(f"{first}, with much said in between, {last}.", quote)
    assert holds(f"{first} {last}", quote)
    assert holds(f"{first} {'x' * GAP} {last}", quote)
    assert not holds(f"{first} {'x' * (GAP + 1)} {last}", quote)
    assert not holds(f"{last} {first}", quote)
    assert not holds(first, quote)
    assert holds(f"{first} {'x ' * GAP} {first} and {last}", quote)


def test_editorial_brackets_in_a_quote() -> None:
    assert holds("The share of women in it was low", "[t]he share of women in it was low")
    assert holds("As said, the share of women in it was low", "... [T]he share of women in it was low ...")


@pytest.mark.parametrize(
    "quote",
    [
        "",
        "…",
        "...",
        "the nurses",
        "a b c d e f",
        "twenty-one-characters",
        "one two three four five six...nine",
    ],
)
def test_quotes_that_are_too_short_are_refused(quote: str) -> None:
    with pytest.raises(TooShort, match="too short and could be found by chance"):
        parse_quote(quote)


def test_scripts_without_spaces() -> None:
    assert holds("据报道，2023年护士中有百分之十二是男性。其余的是女性。", "2023年护士中有百分之十二是男性")
    assert not holds("据报道，2023年护士中有百分之二是男性。其余的是女性。", "2023年护士中有百分之十二是男性")
    assert holds("किताबें पढ़ने वाली नर्सें बहुत कम थीं", "किताबें पढ़ने वाली नर्सें बहुत कम")
    assert not holds("कताबें पढ़ने वाली नर्सें बहुत कम थीं", "किताबें पढ़ने वाली नर्सें बहुत कम")


WORDS = st.lists(
    st.from_regex(r"[a-zA-Zäßéœа-яα-ω]{2,9}|[0-9]{1,3}(\.[0-9])?", fullmatch=True),
    min_size=5,
    max_size=14,
    unique_by=str.casefold,
).filter(lambda words: sum(map(len, words)) >= 25)
BETWEEN = st.lists(
    st.sampled_from(
        [" ", "\n", "\t", "\u00a0", "\u2009", " — ", ", ", "; ", ": ", " “", "” ", " (", ") ", "! "]
    )
    | st.just("\u00ad "),
    min_size=1,
    max_size=4,
).map("".join)


def wholly_different(words: list[str]) -> bool:
    return len({fold(word) for word in words}) == len(words)


@given(WORDS, st.data())
def test_white_space_and_punctuation_never_lose_a_quote(words: list[str], data: st.DataObject) -> None:
    text = "Before: " + "".join(word + data.draw(BETWEEN) for word in words) + "after."
    quote = "".join(word + data.draw(BETWEEN) for word in words)
    assert holds(text, quote)
    assert holds(text.upper(), quote.lower()) or "ß" in text or "œ" in text or "σ" in text
    assert holds(unicodedata.normalize("NFD", text), quote)
    html = "<p>" + "".join(f"<b>{word}</b> <!-- x -->\n" for word in words) + "</p>"
    assert holds(reading(html), quote)


@given(WORDS.filter(wholly_different), st.data())
def test_a_missing_or_changed_or_moved_word_is_never_found(words: list[str], data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(words) - 1))
    quote = " ".join(words)
    without = words[:place] + words[place + 1 :]
    assert not holds(" ".join(without), quote)
    assert not holds(" ".join([*without[:place], words[place] + "x", *without[place:]]), quote)
    assert not holds(" ".join([words[place], *without]), quote) or place == 0
    assert not holds(" ".join([*words[:place], "x", *words[place:]]), quote) or place == 0


@given(st.text(max_size=300) | st.text(alphabet="ab .…[]()1,-%'\u0301é\u00ad", max_size=300))
def test_any_quote_is_found_in_itself_or_too_short(quote: str) -> None:
    folded = fold(quote)
    assert folded == f" {folded.strip()} "
    try:
        wanted = parse_quote(quote)
    except TooShort:
        return
    assert is_in(wanted, folded)


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("a<script>b</script>c<style>d</style>e", "a c e"),
        ("a<SCRIPT type='x'>b<\\/script>if (a<b) {}</Script >c", "a c"),
        ("a<b>b</b><p>c</p>d<br>e<td>f</td><i>g</i>", "ab c d e f g"),
        ("a <!-- b <p> --> c <!--> d <!---> e <!-- x --!> f", "a c d e f"),
        ("a<!DOCTYPE x><?php b ?>c</>d</ >e", "acde"),
        ("a<p title=\"x > y\" q='>'>b", "a b"),
        ("1 < 2 and 3<4 & 5 &lt; 6 &amp; 7&nbsp;8", "1 < 2 and 3<4 & 5 < 6 & 7 8"),
        ("a &eacute; &#233; &#xE9; &#150; b", "a é é é – b"),
        ("a &#" + "9" * 5000 + "; b &#x" + "f" * 5000 + "; c", "a \ufffd; b \ufffd; c"),
        ("a<p ti='never closed > b", "a"),
        ("a <!-- never closed > b", "a"),
        ("a<script>never closed</p>", "a"),
        ("a<textarea>b</textarea><template><p>c</p></template>d", "a d"),
        ("a<![foo[b]]>c<!>d<", "acd<"),
    ],
)
def test_markup_is_cut_as_a_browser_would(html: str, text: str) -> None:
    assert reading(html).split() == text.split()


def test_superscripts_are_read_both_ways() -> None:
    page = Page("", "text/html", None, b"the nurses<sup>12</sup> earn 10<sup>6</sup> pesos in all")
    readings = page_text(page).readings
    assert readings == ("the nurses12 earn 106 pesos in all", "the nurses earn 10 pesos in all")


def test_xml_is_read_with_its_sections() -> None:
    xml = "<?xml version='1.0'?><r><a>x</a><script/><![CDATA[1 < 2 &amp; <b>]]><sup/>y</r>"
    assert reading(xml, "application/xml").split() == ["x", "1", "<", "2", "&amp;", "<b>", "y"]


@pytest.mark.parametrize(
    ("body", "charset"),
    [
        ("naïve café".encode(), None),
        ("naïve café".encode(), "utf-8"),
        ("naïve café".encode("cp1252"), None),
        ("naïve café".encode("cp1252"), "ISO-8859-1"),
        ("naïve café".encode("utf-8-sig"), "iso-8859-1"),
        ("naïve café".encode("utf-16"), None),
        ("naïve café".encode("utf-16-le"), "utf-16le"),
        ("naïve café".encode("mac-roman"), "macintosh"),
        (b"<meta charset='windows-1252'>" + "naïve café".encode("cp1252"), None),
        (b"<meta http-equiv=Content-Type content='text/html; charset=koi8-r'>na", "x-user-defined"),
    ],
)
def test_charsets(body: bytes, charset: str | None) -> None:
    page = page_text(Page("", "text/html", charset, body))
    assert page.readings[0].split()[0].startswith("na")
    assert "\ufffd" not in page.readings[0]
    assert page.note == ""


@pytest.mark.parametrize(
    "charset", ["no-such-thing", "zip_codec", "rot13", "unicode_escape", "idna", "utf-7"]
)
def test_unknown_charsets_are_said(charset: str) -> None:
    page = page_text(Page("", "text/html", charset, "café \\x41 \\N{x}".encode()))
    assert page.readings[0].startswith("café")
    assert page.note == f"the charset {charset!r} is unknown, so the page was read as UTF-8"
    page = page_text(Page("", "text/html", charset, b"caf\xe9"))
    assert page.readings[0].startswith("café")
    assert page.note.endswith("Windows-1252")


def test_bytes_that_fit_no_charset_are_read_all_the_same() -> None:
    assert "nurses" in reading(b"\xff\xfe\xfa nurses"[3:] + b"\xc3\x28", charset="utf-8")


@pytest.mark.parametrize(
    "piece",
    [
        *("<", "<a", "<a ", "<a b=", '<a b="', "<a b='", "<a/", "<!--", "<!", "<![", "</", "<?", "<p>"),
        *("<script>", "<sup>", "&", "&#", "=", "= ", "'", "a", "...", "[1", "\u0301", "1.", "ﷺ"),
    ],
)
def test_hostile_pages_take_time_in_proportion_to_their_size(piece: str) -> None:
    body = ("text " + piece * (1_000_000 // len(piece))).encode()[:400_000]
    before = time.process_time()
    text = page_text(Page("", "text/html", "utf-8", body)).readings[0]
    assert not holds(text)
    assert time.process_time() - before < 10


def test_a_page_that_repeats_a_quotes_beginning_costs_little() -> None:
    before = time.process_time()
    beginning = "alpha beta gamma delta epsilon zeta "
    quote = " ... ".join([beginning * 2] * 40) + " eta theta iota"
    assert not holds(beginning * 50_000, quote)
    assert time.process_time() - before < 10


@given(st.text(alphabet="<>/!-ab'\"= &;#[]?s", max_size=80), st.sampled_from(["text/html", "text/xml"]))
def test_any_markup_gives_text(html: str, media_type: str) -> None:
    assert isinstance(reading(html, media_type), str)


@given(
    st.binary(max_size=200), st.sampled_from(["text/html", "text/plain", "text/xml"]), st.none() | st.text()
)
def test_any_bytes_give_text(body: bytes, media_type: str, charset: str | None) -> None:
    assert isinstance(reading(body, media_type, charset), str)


def test_a_pdf_is_not_read() -> None:
    with pytest.raises(Unreachable, match="a PDF, which cannot be read here"):
        reading("%PDF-1.7", "application/pdf")
