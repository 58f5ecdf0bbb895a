"""The common features: where each exists, how far it drifts between modalities, what it is worth alone, what it costs."""

from __future__ import annotations

from itertools import groupby
from typing import Any, Sequence

from .ask import Answer
from .format import count, percent, plural, sentence
from .headline import bar
from .html import Html, tag
from .parts import LEGEND, Page, empty, figure, scroller, section, sql_buttons, vega

HEADS = (("feature", None), ("modality", None), ("coverage", "num"), ("values", "num"), ("drift", "num"), ("AUPRC alone", "num"))
MOST = 60
"""Features shown; the SQL gives them all."""


def features(page: Page) -> Html:
    """The section about common features."""
    title = "Common features"
    lead = (
        "All modalities share these columns: rules and mined rules read them, and the end model reads the servable ones. Coverage is the share of rows with a value; "
        "drift is the total variation between one modality and the others (0 the same values as often, 1 nothing in common)."
    )
    if not page.questions.store.has_table("gs", "feature_quality"):
        return section("features", title, lead, empty("The catalogue is not built yet: ", "groundswell run"))
    found = page.questions.ask("report_feature")
    groups = [list(rows) for _, rows in groupby(found.rows, key=lambda r: r["feature"])]
    if not groups:
        return section("features", title, lead, empty("There are none yet. Declare the first in features/: ", "-- feature: topics   kind: service"), sql_buttons(found))
    more = tag("p", f"{len(groups) - MOST:,} more features: run the SQL.", class_="note") if len(groups) > MOST else None
    return section("features", title, lead, alarms(groups), table(groups[:MOST]), more, sql_buttons(found), coverage(page, groups[:MOST], found))


def alarms(groups: Sequence[Sequence[dict]]) -> Html | None:
    """What somebody should look at."""
    firsts = [rows[0] for rows in groups]
    leaks = [tag("code", rows[0]["feature"]) for rows in groups if any(r["leak"] for r in rows)]
    failed = [f"{r['feature']}: {plural(r['failures'], 'content')} without an answer" for r in firsts if r["failures"]]
    bare = [f"{rows[0]['feature']} has no value at all" for rows in groups if not any(r["coverage"] for r in rows)]
    found = [tag("li", "It may hold the label itself: ", leak) for leak in leaks]
    found += [tag("li", sentence(items)) for items in (failed, bare) if items]
    return tag("aside", tag("h3", "Worth a look"), tag("ul", found), class_="warning") if found else None


def table(groups: Sequence[Sequence[dict]]) -> Html:
    """One body per feature, one row per modality."""
    heads = tag("tr", [tag("th", name, scope="col", class_=kind) for name, kind in HEADS])
    return scroller("common features", tag("table", tag("thead", heads), [tag("tbody", _rows(rows)) for rows in groups], class_="models features"))


def _rows(rows: Sequence[dict]) -> list[Html]:
    span = str(len(rows)) if len(rows) > 1 else None
    first = rows[0]
    facts = [f"set {first['feature_set']}" if first["feature_set"] else None, first["kind"], first["type"].partition("(")[0]]
    facts += [f"{name} v{version}{cost(first)}" for name, version in zip(first["services"], first["versions"])]
    served = None if first["servable"] else tag("span", "not servable", class_="badge")
    about = tag("th", tag("code", first["feature"]), " ", served, tag("br"), tag("small", " · ".join(f for f in facts if f)), scope="row", rowspan=span)
    return [tag("tr", about if i == 0 else None, _figures(row), class_="first" if i == 0 else None) for i, row in enumerate(rows)]


def cost(row: dict) -> str:
    """What a content costs, where somebody knows."""
    return f", {row['cost_ms']:.2g} ms" if row["cost_ms"] is not None else ""


def _figures(row: dict) -> list[Html]:
    alone = tag("strong", percent(row["auprc_alone"])) if row["leak"] else percent(row["auprc_alone"])
    return [
        tag("td", tag("bdi", row["modality"])), tag("td", bar(row["coverage"]), percent(row["coverage"]), class_="num"), tag("td", count(row["distinct_values"]), class_="num"),
        tag("td", "–" if row["drift"] is None else f"{row['drift']:.2f}", class_="num"), tag("td", alone, class_="num"),
    ]  # fmt: skip


def coverage(page: Page, groups: Sequence[Sequence[dict]], found: Answer) -> Html | None:
    """Where modalities differ: coverage of each, one line per feature."""
    modalities = sorted({r["modality"] for rows in groups for r in rows})
    points = [{"feature": r["feature"], "modality": r["modality"], "coverage": round(r["coverage"], 6)} for rows in groups for r in rows]
    if len(modalities) < 2:
        return None
    caption = "A long line is a feature that one modality lacks: rules over it fire there less, and say less when they do not."
    data = (("feature", "modality", "coverage"), [(p["feature"], p["modality"], percent(p["coverage"])) for p in points])
    return figure("feature-coverage", "Coverage by modality", caption, vega(_spec(points, modalities), f"Coverage of {len(groups)} features in each modality"), found, data=data)


def _spec(points: list[dict], modalities: list[str]) -> dict[str, Any]:
    order = list(dict.fromkeys(p["feature"] for p in points))
    y = {"field": "feature", "type": "nominal", "sort": order, "title": None, "axis": {"labelLimit": 150}}
    x = {"field": "coverage", "type": "quantitative", "title": "coverage", "scale": {"domain": [0, 1]}, "axis": {"format": "~%", "tickCount": 5}}
    colour = {"field": "modality", "type": "nominal", "title": None, "scale": {"domain": modalities, "range": [f"var(--c{i % 8})" for i in range(len(modalities))]}, "legend": LEGEND}
    tip = [{"field": "feature"}, {"field": "modality"}, {"field": "coverage", "format": ".1%"}]
    span = {"mark": {"type": "rule", "color": "var(--grey)", "strokeWidth": 2}, "encoding": {"x": {"aggregate": "min", **x}, "x2": {"aggregate": "max", "field": "coverage"}}}
    dots = {"mark": {"type": "point", "filled": True, "size": 80, "opacity": 1}, "encoding": {"x": x, "color": colour, "tooltip": tip}}
    return {"height": {"step": 20}, "data": {"values": points}, "encoding": {"y": y}, "layer": [span, dots]}
