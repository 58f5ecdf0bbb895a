"""Labeling functions together: who agrees and conflicts with whom beyond chance, and which votes come together."""

from __future__ import annotations

from typing import Sequence

from .ask import Answer
from .format import count, percent, plural
from .headline import bar
from .html import Html, tag
from .parts import Page, empty, figure, scroller, section, sql_buttons, vega

PATTERNS = 24
MORE, LESS = "in tune", "at odds"


def together(page: Page) -> Html:
    """The section about pairs and patterns."""
    lead = "Copies of one rule count as one witness, not two: find them here before you trust their agreement."
    return section("together", "How they vote together", lead, heat_map(page), patterns(page))


def heat_map(page: Page) -> Html:
    """LF x LF: agreement beyond chance above the diagonal, conflict beyond chance below."""
    answer = page.questions.ask("report_pairs")
    if not answer.rows:
        return tag(
            "div",
            tag("h3", "Agreement beyond chance"),
            empty("Two labeling functions with votes are needed. Write another one and run again: ", "groundswell run"),
            sql_buttons(answer),
        )
    cells = _cells(answer.rows)
    names = sorted({c["row"] for c in cells} | {c["column"] for c in cells})
    caption = (
        "Above the diagonal: how often two rules agree; below: how often they conflict; both minus what chance would give and divided by the votes of the rarer rule. "
        "Blue: more in tune than chance would have it. Orange: at odds. A deep blue pair is close to a copy; the rules of a deep orange pair contradict each other: read rows with groundswell show A --conflicts B."
    )
    most = sorted(answer.rows, key=lambda r: (-abs(r["agreement_excess"]) - abs(r["conflict_excess"]), r["lf_a"], r["lf_b"]))
    data = (
        ("pair", "both vote", "agree", "expected", "conflict", "expected", "agreement excess", "conflict excess"),
        [
            (
                f"{r['lf_a']} · {r['lf_b']}",
                count(r["n_both"]),
                count(r["n_agree"]),
                f"{r['expected_agree']:,.1f}",
                count(r["n_conflict"]),
                f"{r['expected_conflict']:,.1f}",
                f"{r['agreement_excess']:+.3f}",
                f"{r['conflict_excess']:+.3f}",
            )
            for r in most
        ],
    )
    chart = vega(_heat_spec(cells, names), f"Heat map of {plural(len(names), 'labeling function')}")
    return figure("pairs", "Agreement and conflict beyond chance", caption, chart, answer, data=data)


def _cells(rows: Sequence[dict]) -> list[dict]:
    """Two cells per pair; value > 0: more in tune than chance."""
    cells = []
    for r in rows:
        both = {"n": r["n_both"]}
        cells.append(
            {
                "row": r["lf_a"],
                "column": r["lf_b"],
                "kind": "agree",
                "seen": r["n_agree"],
                "chance": round(r["expected_agree"]),
                "value": round(r["agreement_excess"], 3),
                **both,
            }
        )
        cells.append(
            {
                "row": r["lf_b"],
                "column": r["lf_a"],
                "kind": "conflict",
                "seen": r["n_conflict"],
                "chance": round(r["expected_conflict"]),
                "value": 0.0 - round(r["conflict_excess"], 3),
                **both,
            }
        )
    return cells


def _heat_spec(cells: list[dict], names: list[str]) -> dict:
    axis = {
        "labelLimit": {"expr": "containerSize()[0] < 520 ? 84 : 190"},
        "labelOverlap": True,
        "ticks": False,
        "domain": False,
        "labelFontSize": 10 if len(names) > 30 else 11,
    }
    reach = max(0.05, *(abs(c["value"]) for c in cells))
    cells = [c | {"tune": MORE if c["value"] >= 0 else LESS, "size": abs(c["value"])} for c in cells]
    tip = [
        {"field": "row", "title": "LF"},
        {"field": "column", "title": "and"},
        {"field": "kind", "title": "rows on which they"},
        {"field": "seen", "title": "seen", "format": ","},
        {"field": "chance", "title": "by chance", "format": ","},
        {"field": "n", "title": "both vote", "format": ","},
        {"field": "value", "title": "in tune beyond chance", "format": "+.3f"},
    ]
    return {
        "height": max(120, min(22 * len(names), 900)),
        "data": {"values": cells},
        "mark": {"type": "rect", "stroke": "var(--card)", "strokeWidth": 1},
        "encoding": {
            "x": {
                "field": "column",
                "type": "nominal",
                "title": None,
                "scale": {"domain": names},
                "axis": axis | {"orient": "bottom", "labelAngle": -60},
            },
            "y": {"field": "row", "type": "nominal", "title": None, "scale": {"domain": names}, "axis": axis},
            "color": {
                "field": "tune",
                "type": "nominal",
                "title": None,
                "legend": {"orient": "top"},
                "scale": {"domain": [MORE, LESS], "range": ["var(--blue)", "var(--c5)"]},
            },
            "fillOpacity": {"field": "size", "type": "quantitative", "legend": None, "scale": {"domain": [0, reach], "range": [0.05, 1]}},
            "tooltip": tip,
        },
    }


# -- vote patterns ------------------------------------------------------------------------------------------------------


def patterns(page: Page) -> Html:
    """The most frequent rows of the label matrix, UpSet style: a dot where a rule votes, in the colour of the class."""
    answer = page.questions.ask("report_patterns", n=PATTERNS)
    if not answer.rows:
        return tag(
            "div",
            tag("h3", "Vote patterns"),
            empty("No row has a vote. Loosen a rule or write another one: ", "groundswell show --uncovered"),
            sql_buttons(answer),
        )
    total = sum(r["n_entities"] for r in page.questions.ask("report_votes_per_entity").rows if r["n_votes"])
    share = sum(r["n_entities"] for r in answer.rows) / total
    caption = (
        f"Each line is one combination of votes; these {len(answer.rows)} make up {percent(share, 0)} of the covered rows. Big lines with low confidence are where another rule pays most; "
        "“checked” is gold of train and dev."
    )
    return tag(
        "figure",
        tag("h3", "Most frequent vote patterns", id_="patterns-name"),
        tag("figcaption", caption),
        upset(page, answer),
        tag("div", sql_buttons(answer), class_="behind"),
        id_="patterns",
        aria_labelledby="patterns-name",
    )


def upset(page: Page, answer: Answer) -> Html:
    """A table: pattern by pattern its rows, label, confidence and votes."""
    votes = [dict(row["votes"]) for row in answer.rows]
    lfs = sorted({lf for each in votes for lf in each}, key=lambda lf: (-sum(r["n_entities"] for r, v in zip(answer.rows, votes) if lf in v), lf))
    most = max(r["n_entities"] for r in answer.rows)
    heads = [tag("th", h, scope="col", class_=c) for h, c in (("rows", "num"), ("label", None), ("confidence", "num"), ("checked", "num checked"))]
    heads += [tag("th", tag("span", lf), scope="col", class_="turned") for lf in lfs]
    body = [tag("tr", _pattern(page, row, most), _dots(page, lfs, each)) for row, each in zip(answer.rows, votes)]
    return scroller("vote patterns", tag("table", tag("thead", tag("tr", heads)), tag("tbody", body), class_="upset"))


def _pattern(page: Page, row: dict, most: int) -> list[Html]:
    checked = f"{count(row['n_correct'])} of {count(row['n_gold'])}" if row["n_gold"] else "–"
    return [
        tag("th", bar(row["n_entities"] / most), tag("span", count(row["n_entities"]), class_="value"), scope="row", class_="num"),
        tag("td", page.badge(row["label"], "a tie")),
        tag("td", percent(row["confidence"]), class_="num"),
        tag("td", checked, class_="num checked"),
    ]


def _dots(page: Page, lfs: Sequence[str], votes: dict[str, str]) -> list[Html]:
    at = [i for i, lf in enumerate(lfs) if lf in votes]
    cells = []
    for i, lf in enumerate(lfs):
        label = votes.get(lf)
        place = page.classes.index(label) % 8 if label in page.classes else None
        line = "through" if at[0] < i < at[-1] else "from" if i == at[0] < at[-1] else "to" if i == at[-1] > at[0] else None
        dot = (
            tag("span", tag("span", f"{lf}: {label}", class_="unseen"), class_=f"dot k{place}", title=f"{lf}: {label}")
            if label is not None
            else tag("span", class_="dot none")
        )
        cells.append(tag("td", dot, class_=" ".join(filter(None, ("cell", line)))))
    return cells
