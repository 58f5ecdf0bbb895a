"""The pieces all sections are made of: sections, figures, SQL buttons, tables, badges."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Iterable, Mapping, Sequence

from .ask import Answer, Questions
from .highlight import highlighted
from .html import Html, embedded, tag
from .redact import Discretion

N_COLOURS = 8
DATA_ROWS = 60
LEGEND = {"orient": "top", "columns": {"expr": "containerSize()[0] < 520 ? 2 : 6"}, "labelLimit": 130}


@dataclass(frozen=True)
class Page:
    """What every section gets: whom to ask, what may be shown, the classes and their colours."""

    questions: Questions
    discretion: Discretion

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in class order."""
        return self.questions.task.classes

    def colour(self, label: str | None) -> str:
        """The CSS colour of a class; grey for none."""
        return f"var(--c{self.classes.index(label) % N_COLOURS})" if label in self.classes else "var(--grey)"

    def badge(self, label: str | None, none: str = "no label") -> Html:
        """A class name with its colour."""
        place = self.classes.index(label) % N_COLOURS if label in self.classes else "n"
        return tag("span", tag("bdi", label or none), class_=f"badge k{place}")


def section(key: str, title: str, lead: Any, *children: Any) -> Html:
    """A part of the page with a heading and a sentence that says what it is for."""
    return tag("section", tag("h2", title, id_=f"{key}-title"), tag("p", lead, class_="lead"), *children, id_=key, aria_labelledby=f"{key}-title")


def empty(text: str, command: str | None = None) -> Html:
    """What to do next where there is nothing to show."""
    return tag("p", text, tag("code", command) if command else None, class_="empty")


def sql_buttons(*answers: Answer) -> Html:
    """One small button per query, with the query behind it."""
    return tag("div", [_sql_button(a, len(answers) > 1) for a in answers], class_="sqls")


def _sql_button(answer: Answer, named: bool) -> Html:
    name = answer.name.removeprefix("report_").replace("_", " ")
    head = tag("summary", "SQL", tag("span", f" {name}", class_=None if named else "unseen"))
    copy = tag("button", "Copy", type_="button", class_="copy")
    return tag("details", head, tag("div", copy, tag("pre", highlighted(answer.sql), tabindex="0"), class_="query"), class_="sql")


def figure(
    key: str, title: str, caption: Any, chart: Any, *answers: Answer, data: tuple[Sequence[str], Iterable[Sequence[Any]]] | None = None
) -> Html:
    """A chart with its title, one honest sentence, its SQL and its numbers as a table."""
    numbers = tag("details", tag("summary", "Numbers"), plain_table(*data), class_="numbers") if data else None
    return tag(
        "figure",
        tag("h3", title, id_=f"{key}-name"),
        tag("figcaption", caption),
        chart,
        tag("div", sql_buttons(*answers), numbers, class_="behind"),
        id_=key,
        aria_labelledby=f"{key}-name",
    )


def vega(spec: Mapping[str, Any], description: str) -> Html:
    """A Vega-Lite chart: drawn by the script of the page from the JSON beside it."""
    whole = {"width": "container", "autosize": {"type": "fit-x", "contains": "padding"}} | dict(spec)
    text = json.dumps(whole, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return Html(
        tag("div", class_="chart", role="img", aria_label=description)
        + Html(f'<script type="application/json" class="spec">{embedded(text)}</script>')
    )


def scroller(name: str, table: Html) -> Html:
    """A table that scrolls sideways in its own box on narrow screens."""
    return tag("div", table, class_="scroll", tabindex="0", role="region", aria_label=name)


def plain_table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Html:
    """A table of texts; at most DATA_ROWS rows, the SQL gives them all."""
    rows = list(rows)
    body = [
        tag("tr", [tag("th" if i == 0 else "td", cell, scope="row" if i == 0 else None) for i, cell in enumerate(row)]) for row in rows[:DATA_ROWS]
    ]
    more = tag("p", f"{len(rows) - DATA_ROWS:,} more rows: run the SQL.", class_="note") if len(rows) > DATA_ROWS else None
    table = tag("table", tag("thead", tag("tr", [tag("th", c, scope="col") for c in columns])), tag("tbody", body), class_="plain")
    return Html(scroller("numbers", table) + (more or ""))
