"""The labeling functions: a sortable table with their SQL and examples, and coverage against accuracy."""

from __future__ import annotations

from typing import Any, Sequence

from .format import count, percent, plural
from .headline import bar
from .highlight import highlighted
from .html import Html, tag
from .parts import LEGEND, Page, empty, figure, scroller, section, sql_buttons, vega
from .places import sides_of_names

EXAMPLES = 3
POOL = 20_000
COLUMNS = (
    ("lf", "labeling function", "text"),
    ("polarity", "votes for", "text"),
    ("n_votes", "votes", "num"),
    ("coverage", "coverage", "num"),
    ("overlaps", "overlaps", "num"),
    ("conflicts", "conflicts", "num"),
    ("empirical_accuracy", "accuracy, 95 % interval", "num"),
    ("learned_accuracy", "learned", "num"),
)
SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-right", "triangle-left")


def functions(page: Page) -> Html:
    """The section about labeling functions."""
    lfs = page.questions.ask("report_lf")
    lead = (
        "Sort by any column; open a row for its SQL and for rows it gets right and wrong (train and dev only). The bar is the 95 % Wilson interval of the measured accuracy, "
        "the tick what the label model has learned without gold: far apart means one of them is fooled."
    )
    if not lfs.rows:
        return section(
            "functions", "Labeling functions", lead, empty("There are none yet. Write the first one in lfs/: ", "-- lf: says_refund -> refund")
        )
    examples = page.questions.ask("report_examples", n=EXAMPLES, pool=POOL)
    return section("functions", "Labeling functions", lead, table(page, lfs.rows, examples.rows), sql_buttons(lfs, examples), scatter(page, lfs))


# -- the table ----------------------------------------------------------------------------------------------------------


def table(page: Page, lfs: Sequence[dict], examples: Sequence[dict]) -> Html:
    """One body per labeling function: its numbers, and behind them its SQL and examples."""
    heads = [
        tag(
            "th",
            tag("button", title, type_="button", data_sort=i, data_kind=kind),
            scope="col",
            class_=kind,
            aria_sort="ascending" if i == 0 else "none",
        )
        for i, (_, title, kind) in enumerate(COLUMNS)
    ]
    bodies = [tag("tbody", _numbers(page, lf), _behind(page, lf, [e for e in examples if e["lf"] == lf["lf"]])) for lf in lfs]
    return scroller("labeling functions", tag("table", tag("thead", tag("tr", heads)), bodies, class_="lfs"))


def _numbers(page: Page, lf: dict) -> Html:
    broken = tag("span", "broken", class_="badge broken") if lf["status"] != "ok" else None
    cells = [
        tag("th", tag("code", lf["lf"]), broken, scope="row", data_value=lf["lf"]),
        tag("td", [page.badge(label) for label in lf["polarity"]] or "–", data_value=", ".join(lf["polarity"])),
        tag("td", count(lf["n_votes"]), class_="num", data_value=_sortable(lf["n_votes"])),
    ]
    for key in ("coverage", "overlaps", "conflicts"):
        cells.append(
            tag(
                "td",
                bar(lf[key]) if key == "coverage" else None,
                tag("span", percent(lf[key]), class_="value"),
                class_="num",
                data_value=_sortable(lf[key]),
            )
        )
    cells.append(tag("td", interval(lf), class_="num interval", data_value=_sortable(lf["empirical_accuracy"])))
    cells.append(tag("td", percent(lf["learned_accuracy"]), class_="num", data_value=_sortable(lf["learned_accuracy"])))
    return tag("tr", cells)


def _sortable(value: float | None) -> str:
    return "" if value is None else f"{value:.9g}"


def interval(lf: dict) -> Html:
    """The measured accuracy with its Wilson interval from 0 to 1, and a tick where the label model puts it."""
    if lf["empirical_accuracy"] is None:
        return tag("span", "no gold", class_="note")
    at, low, high, learned = (100 * v if v is not None else None for v in (lf["empirical_accuracy"], lf["low"], lf["high"], lf["learned_accuracy"]))
    marks = [
        tag("rect", class_="track", x="0", y="5", width="100", height="2"),
        tag("rect", class_="range", x=f"{low:.2f}", y="3", width=f"{high - low:.2f}", height="6"),
        tag("rect", class_="point", x=f"{at - 0.8:.2f}", y="1", width="1.6", height="10"),
        tag("rect", class_="learned", x=f"{learned - 0.5:.2f}", y="0", width="1", height="12") if learned is not None else None,
    ]
    title = f"{percent(lf['low'])} to {percent(lf['high'])}, from {plural(lf['n_correct'] + lf['n_incorrect'], 'row')} with gold"
    drawn = tag("svg", tag("title", title), marks, class_="wilson", viewBox="0 0 100 12", preserveAspectRatio="none", role="img", aria_label=title)
    return Html(drawn + tag("span", percent(lf["empirical_accuracy"]), class_="value") + tag("small", f" {low:.0f}–{high:.0f} %"))


def _behind(page: Page, lf: dict, examples: Sequence[dict]) -> Html:
    facts = [
        ("where", f"{lf['path']}:{lf['line']}" if lf["path"] else None),
        ("owner", lf["owner"]),
        ("tags", ", ".join(lf["tags"] or ())),
        ("kind", lf["kind"]),
        ("judged", f"{count(lf['n_correct'])} right, {count(lf['n_incorrect'])} wrong" if lf["n_correct"] is not None else None),
    ]
    error = page.discretion.message(lf["error"])
    inside = [
        tag("pre", error, class_="error", tabindex="0") if error else None,
        tag("pre", highlighted(lf["sql"]), tabindex="0") if lf["sql"] else None,
        tag("p", [tag("span", tag("b", name), " ", value) for name, value in facts if value], class_="facts"),
        _examples(page, examples),
    ]
    return tag(
        "tr", tag("td", tag("details", tag("summary", "SQL and examples"), tag("div", inside, class_="lf")), colspan=len(COLUMNS)), class_="behind"
    )


def _examples(page: Page, examples: Sequence[dict]) -> Html | None:
    judged = [e for e in examples if e["verdict"] != "unjudged"]
    groups = [("wrong", "Wrong, by gold"), ("right", "Right, by gold")] if judged else [("unjudged", "Rows it votes on; none of them has gold")]
    found = [(title, verdict, [e for e in examples if e["verdict"] == verdict]) for verdict, title in groups]
    return (
        Html(
            "".join(
                tag("div", tag("h4", title), [example(page, e) for e in rows], class_=f"examples {verdict}") for title, verdict, rows in found if rows
            )
        )
        or None
    )


def example(page: Page, row: dict) -> Html:
    """One entity: its key, what was voted, what gold says, its columns."""
    gold = [" · gold ", page.badge(row["gold"])] if row["gold"] and row["gold"] != row["voted"] else None
    head = tag("p", tag("code", page.discretion.key(row["entity"])), " voted ", page.badge(row["voted"]), gold, class_="who")
    return tag("article", head, entity(page, row["entity"]))


def entity(page: Page, row: dict[str, Any]) -> Html | None:
    """The columns of an entity that a person can read."""
    columns = page.discretion.columns(row)
    return tag("dl", [tag("div", tag("dt", name), tag("dd", tag("bdi", value))) for name, value in columns], class_="entity") if columns else None


# -- coverage against accuracy ------------------------------------------------------------------------------------------


def scatter(page: Page, lfs) -> Html | None:
    """One point per LF: how much it labels against how often it is right."""
    voting = [r for r in lfs.rows if r["n_votes"]]
    measured = any(r["empirical_accuracy"] is not None for r in voting)
    accuracy = "empirical_accuracy" if measured else "learned_accuracy"
    rows = [r for r in voting if r[accuracy] is not None]
    if not rows:
        return None
    points = _points(page, rows, accuracy)
    what = "measured on gold, with 95 % Wilson intervals" if measured else "as the label model has learned it: there is no gold to measure it with"
    harm = "Those below the dashed line of chance do harm; those" if _lowest(points) <= 1 / max(2, len(page.classes)) else "Those"
    caption = f"Look for rules at the top right: they label much and rightly. {harm} far left matter little. Accuracy is {what}."
    data = (
        ("labeling function", "votes for", "coverage", "accuracy", "low", "high"),
        [(p["lf"], p["class"], percent(p["x"]), percent(p["y"]), percent(p["low"]), percent(p["high"])) for p in points],
    )
    chart = vega(_scatter_spec(page, points), f"Scatter of coverage and accuracy of {len(points)} labeling functions")
    return figure("scatter", "Coverage against accuracy", caption, chart, lfs, data=data)


def _points(page: Page, rows: Sequence[dict], accuracy: str) -> list[dict]:
    points = [
        {
            "lf": r["lf"],
            "class": r["polarity"][0] if len(r["polarity"]) == 1 else "several classes",
            "x": round(r["coverage"], 6),
            "y": round(r[accuracy], 6),
            "low": _rounded(r["low"]),
            "high": _rounded(r["high"]),
            "votes": r["n_votes"],
        }
        for r in rows
    ]
    sides = sides_of_names([(p["x"], p["y"], p["lf"]) for p in points], _lowest(points))
    return [p | {"side": side} for p, side in zip(points, sides)]


def _lowest(points: Sequence[dict]) -> float:
    """Where the axis of accuracies begins: a little below the lowest interval."""
    return max(0.0, round(min(p["low"] if p["low"] is not None else p["y"] for p in points) - 0.04, 2))


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)


def _names(side: str, align: str, dx: int) -> dict:
    mark = {"type": "text", "align": align, "dx": dx, "dy": 1, "fontSize": {"expr": "width < 520 ? 0 : 11"}, "color": "var(--fg)", "limit": 170}
    return {"transform": [{"filter": f"datum.side === '{side}'"}], "mark": mark, "encoding": {"text": {"field": "lf"}}}


def _scatter_spec(page: Page, points: list[dict]) -> dict:
    domain = [c for c in (*page.classes, "several classes") if any(p["class"] == c for p in points)]
    colours = [page.colour(c) for c in domain]
    x = {
        "field": "x",
        "type": "quantitative",
        "title": "coverage (share of all rows, square-root scale)",
        "scale": {"type": "sqrt", "domainMin": 0},
        "axis": {"format": "~%", "tickCount": 6},
    }
    chance = 1 / max(2, len(page.classes))
    lowest = _lowest(points)
    y = {
        "field": "y",
        "type": "quantitative",
        "title": "accuracy",
        "scale": {"domain": [lowest, 1.02], "nice": False},
        "axis": {"format": "~%", "tickCount": 6},
    }
    colour = {
        "field": "class",
        "type": "nominal",
        "title": None,
        "scale": {"domain": domain, "range": colours},
        "legend": LEGEND | {"symbolOpacity": 1},
    }
    shape = {
        "field": "class",
        "type": "nominal",
        "title": None,
        "scale": {"domain": domain, "range": [SHAPES[i % len(SHAPES)] for i in range(len(domain))]},
        "legend": LEGEND,
    }
    tip = [
        {"field": "lf", "title": "LF"},
        {"field": "class", "title": "votes for"},
        {"field": "votes", "title": "votes", "format": ","},
        {"field": "x", "title": "coverage", "format": ".1%"},
        {"field": "y", "title": "accuracy", "format": ".1%"},
        {"field": "low", "title": "from", "format": ".1%"},
        {"field": "high", "title": "to", "format": ".1%"},
    ]
    floor = {
        "data": {"values": [{"y": chance}]},
        "mark": {"type": "rule", "strokeDash": [4, 4], "color": "var(--muted)"},
        "encoding": {"y": {"field": "y", "type": "quantitative"}},
    }
    return {
        "height": 380,
        "data": {"values": points},
        "encoding": {"x": x, "y": y},
        "layer": [
            *([floor] if chance >= lowest else []),
            {
                "mark": {"type": "rule", "opacity": 0.45, "strokeWidth": 2},
                "encoding": {"y": {"field": "low", "type": "quantitative"}, "y2": {"field": "high"}, "color": colour},
            },
            {"mark": {"type": "point", "filled": True, "size": 90, "opacity": 1}, "encoding": {"color": colour, "shape": shape, "tooltip": tip}},
            *(_names(*each) for each in (("right", "left", 9), ("left", "right", -9)) if any(p["side"] == each[0] for p in points)),
        ],
    }
