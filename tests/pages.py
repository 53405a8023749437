"""Reading the pages that this package writes."""

import re
from html.parser import HTMLParser


class Page(HTMLParser):
    """What a page holds: its tags, the addresses it names, its text, its headings, and whether the tags close."""

    VOID = frozenset({"meta", "br", "wbr", "link", "img", "hr"})

    def __init__(self, html):
        super().__init__()
        self.tags, self.addresses, self.text, self.open, self.ids = [], [], "", [], []
        self.feed(html)
        self.close()
        self.headings = [tag for tag, _ in self.tags if re.fullmatch("h[1-6]", tag)]

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.addresses += [value for name, value in attrs if name in {"src", "href", "xlink:href", "action"}]
        self.ids += [value for name, value in attrs if name == "id"]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data
