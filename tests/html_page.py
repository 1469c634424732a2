"""A page of HTML as a reader sees it, and what would be wrong with it."""

import base64
from html.parser import HTMLParser

#: Elements without an end.
_VOID = ("meta", "img", "br")
#: Those that a report is made of; any other came from somebody's file.
_KNOWN = (
    *("html", "head", "title", "style", "body", "h1", "h2", "p", "ul", "li", "div"),
    *("table", "tr", "th", "td", "figure", "figcaption", "code", *_VOID),
)


class Page(HTMLParser):
    """Text, rows of tables, and the number of figures of a page that is well formed."""

    def __init__(self):
        super().__init__()
        self.open, self.rows, self.figures, self.text = [], [], 0, ""

    @classmethod
    def of(cls, text):
        page = cls()
        page.feed(text)
        page.close()
        assert page.open == []
        # Nothing is asked for from elsewhere.
        assert "http://" not in text
        assert "https://" not in text
        assert "url(" not in text
        return page

    def handle_starttag(self, tag, attrs):
        assert tag in _KNOWN, tag
        given = dict(attrs)
        if tag == "img":
            kind, _, data = given["src"].partition(",")
            assert kind == "data:image/png;base64"
            assert base64.b64decode(data, validate=True)[1:4] == b"PNG"
            self.figures += 1
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] in ("td", "th"):
            self.rows[-1][-1] += data
        if "style" not in self.open:
            self.text += data
