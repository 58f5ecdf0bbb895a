"""The paper's studies on this task: what each arm reached, with intervals over seeds, relative to hand labels."""

from __future__ import annotations

import re
from itertools import groupby
from typing import Any, Sequence

from .ask import Answer
from .format import count, plural
from .html import Html, tag
from .parts import Page, empty, figure, scroller, section, sql_buttons, vega

TITLES = {
    "end-to-end": ("End to end", "The same test rows of the new modality for every arm. Relative: to a supervised model that sees the embedding alone."),
    "crossover": ("Cross-over", "The curve is a model trained on that many hand labels of the new modality; the line is the pipeline, which has seen none."),
    "factors": ("Feature sets", "Sets are added one at a time, to the old modality first."),
    "lesion": ("One modality, the other, both", "The same feature sets with either modality's rows left out."),
    "fusion": ("Ways to fuse", "The same rows and features; only the way modalities meet differs."),
    "curated labels": ("What each kind of vote adds to the labels", "Label models fitted on a part of the labeling functions each; rows on which one is silent count as missed."),
    "curation": ("What each kind of vote adds to the end model", "The same end model, trained on the labels of each of them."),
}
METRICS = {"average_precision": "average precision", "relative_average_precision": "relative", "coverage": "coverage", "precision": "precision", "recall": "recall", "f1": "F1", "accuracy": "accuracy"}  # fmt: skip
GROWING = ("factors", "lesion", "crossover")
"""Studies whose arms have an order of their own; the others stand by what they reached."""


def studies(page: Page) -> Html:
    """The section about studies."""
    title, lead = "Studies", "Models that differ in one thing, judged on the same rows. Means over seeds with 95 % intervals; no arm's figures were used to choose another's."
    found = page.questions.ask("report_study") if page.questions.has("study") else None
    if found is None or not found.rows:
        return section("studies", title, lead, empty("None was run yet: ", "groundswell study end-to-end"))
    return section("studies", title, lead, [_study(name, list(rows), found) for name, rows in groupby(found.rows, key=lambda r: r["study"])])


def _study(name: str, rows: Sequence[dict], found: Answer) -> Html:
    title, caption = TITLES.get(name, (name, ""))
    arms: dict[str, dict[str, dict]] = {}
    for row in rows:
        arms.setdefault(row["arm"], {})[row["metric"]] = row
    if name not in GROWING:
        arms = dict(sorted(arms.items(), key=lambda each: -_reached(each[1])))
    chart = _curve(arms) if name == "crossover" else _dots(arms)
    crossed = _crossed(arms) if name == "crossover" else None
    drawn = vega(chart, f"Average precision of {len(arms)} arms") if chart else None
    return tag("div", figure(f"study-{name}", title, caption, drawn, found), crossed, _table(arms))


def _reached(metrics: dict[str, dict]) -> float:
    value = metrics.get("average_precision", {}).get("value")
    return -1.0 if value is None else value


def interval(row: dict) -> tuple[float, float] | None:
    """The 95 % t-interval of a mean over seeds; None for fewer than two."""
    from scipy.stats import t

    if row["value"] is None or row["seeds"] < 2 or row["spread"] is None:
        return None
    half = float(t.ppf(0.975, row["seeds"] - 1)) * row["spread"] / row["seeds"] ** 0.5
    return row["value"] - half, row["value"] + half


def _table(arms: dict[str, dict[str, dict]]) -> Html:
    shown = [m for m in METRICS if any(m in metrics for metrics in arms.values())]
    heads = tag("tr", tag("th", "arm", scope="col"), [tag("th", METRICS[m], scope="col", class_="num") for m in shown], tag("th", "seeds", scope="col", class_="num"))
    rows = [
        tag("tr", tag("th", arm, scope="row"), [tag("td", _cell(metrics.get(m), m), class_="num") for m in shown], tag("td", count(max(r["tried"] for r in metrics.values())), class_="num"))
        for arm, metrics in arms.items()
    ]
    return scroller("arms", tag("table", tag("thead", heads), tag("tbody", rows), class_="models"))


def _cell(row: dict | None, metric: str) -> Any:
    if row is None or row["value"] is None:
        return "–"
    spread = interval(row) if metric == "average_precision" else None
    return [f"{row['value']:.3f}", tag("small", f" {spread[0]:.3f} to {spread[1]:.3f}") if spread else None]


def _crossed(arms: dict[str, dict[str, dict]]) -> Html:
    found = [(arm, metrics["crossover"]) for arm, metrics in arms.items() if "crossover" in metrics]
    words = [
        f"{arm}: hand labels match the pipeline from {row['value']:,.0f} on (mean of {row['seeds']} of {row['tried']} seeds)" if row["seeds"] else
        f"{arm}: not reached with the {row['n_rows']:,} hand labels there are"
        for arm, row in found
    ]  # fmt: skip
    return tag("p", "; ".join(words) + ".", class_="note") if words else tag("p", f"no crossing was computed for {plural(len(arms), 'arm')}.", class_="note")


def _points(arms: dict[str, dict[str, dict]]) -> list[dict[str, Any]]:
    found = []
    for arm, metrics in arms.items():
        row = metrics.get("average_precision")
        if row and row["value"] is not None:
            low, high = interval(row) or (row["value"], row["value"])
            found.append({"arm": arm, "value": round(row["value"], 6), "low": round(low, 6), "high": round(high, 6), "seeds": row["seeds"]})
    return found


def _dots(arms: dict[str, dict[str, dict]]) -> dict[str, Any] | None:
    points = _points(arms)
    if not points:
        return None
    y = {"field": "arm", "type": "nominal", "sort": [p["arm"] for p in points], "title": None, "axis": {"labelLimit": 240}}
    x = {"type": "quantitative", "title": "average precision", "scale": {"zero": False}}
    tip = [{"field": "arm"}, {"field": "value", "format": ".3f"}, {"field": "low", "format": ".3f"}, {"field": "high", "format": ".3f"}, {"field": "seeds"}]
    span = {"mark": {"type": "rule", "color": "var(--grey)", "strokeWidth": 2}, "encoding": {"x": {**x, "field": "low"}, "x2": {"field": "high"}}}
    dots = {"mark": {"type": "point", "filled": True, "size": 80, "opacity": 1, "color": "var(--c0)"}, "encoding": {"x": {**x, "field": "value"}, "tooltip": tip}}
    return {"height": {"step": 22}, "data": {"values": points}, "encoding": {"y": y}, "layer": [span, dots]}


def _curve(arms: dict[str, dict[str, dict]]) -> dict[str, Any] | None:
    points = [{**p, "labels": int(found[1]), "kind": f"hand labels{found[2]}"} for p in _points(arms) if (found := re.match(r"supervised (\d+)(.*)", p["arm"]))]
    lines = [{**p, "kind": p["arm"]} for p in _points(arms) if not p["arm"].startswith("supervised ")]
    if len(points) < 2:
        return None
    x = {"field": "labels", "type": "quantitative", "title": "hand labels of the new modality", "scale": {"type": "log", "nice": False}, "axis": {"format": "~s", "tickCount": 5}}
    y = {"type": "quantitative", "title": "average precision", "scale": {"zero": False}}
    names = [*dict.fromkeys(p["kind"] for p in points), *(p["kind"] for p in lines)]
    colour = {"field": "kind", "type": "nominal", "title": None, "scale": {"domain": names, "range": [f"var(--c{i % 8})" for i in range(len(names))]}, "legend": {"orient": "top"}}
    band = {"data": {"values": points}, "mark": {"type": "rule", "color": "var(--grey)"}, "encoding": {"x": x, "y": {**y, "field": "low"}, "y2": {"field": "high"}}}
    line = {"data": {"values": points}, "mark": {"type": "line", "point": True}, "encoding": {"x": x, "y": {**y, "field": "value"}, "color": colour, "tooltip": [{"field": "labels"}, {"field": "value", "format": ".3f"}]}}
    level = {"data": {"values": lines}, "mark": {"type": "rule", "strokeWidth": 2}, "encoding": {"y": {**y, "field": "value"}, "color": colour, "tooltip": [{"field": "kind"}, {"field": "value", "format": ".3f"}]}}
    return {"height": 260, "layer": [band, line, level]}
