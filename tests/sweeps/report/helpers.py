"""Read a report as a browser would."""

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any


class Page(HTMLParser):
    """The tags, tables, scripts and text of a report.

    Attributes:
        scripts: what is run.
        charts: the figures for plotly.js.
        html: the page without plotly.js.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.tables: list[list[list[str]]] = []
        self.words: list[str] = []
        self.inside: list[str] = []
        self.scripts: list[str] = []
        self.charts: list[dict[str, Any]] = []
        whole = path.read_text()
        self.feed(whole)
        self.html = whole.replace(self.scripts[0], "") if self.has_plotly else whole
        self.text = " ".join("".join(self.words).split())

    @property
    def has_plotly(self) -> bool:
        return len(self.scripts) > 1

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))
        if tag not in ("img", "source", "meta", "link", "br", "wbr"):
            self.inside.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.inside.pop() == tag  # well nested

    def handle_data(self, data: str) -> None:
        if self.inside and self.inside[-1] == "script":
            if self.tags[-1][1].get("type") == "application/json":
                self.charts.append(json.loads(data))
            else:
                self.scripts.append(data)
        elif self.inside and self.inside[-1] != "style":
            self.words.append(data)
            if {"td", "th"} & set(self.inside):
                self.tables[-1][-1][-1] += data

    def all(self, tag: str, attribute: str) -> list[str]:
        return [
            attributes[attribute] or "" for name, attributes in self.tags if name == tag and attribute in attributes
        ]
