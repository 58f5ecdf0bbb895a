"""The labels: how many votes they stand on, how sure they are, how right, and how the classes share them."""

from __future__ import annotations

from .ask import Answer
from .format import count, percent, plural
from .html import Html, tag
from .parts import LEGEND, Page, empty, figure, section, sql_buttons, vega


def labels(page: Page) -> Html:
    """The section about labels."""
    lead = "A label is worth as much as the votes beneath it. Choose the confidence from which labels are good enough to train on."
    return section("labels", "Labels", lead, confidence(page), tag("div", calibration(page), votes_per_entity(page), class_="two"), balance(page))


def votes_per_entity(page: Page) -> Html:
    """Bars: rows by their number of votes, conflicting ones apart."""
    answer = page.questions.ask("report_votes_per_entity")
    total = sum(r["n_entities"] for r in answer.rows)
    if not total:
        return tag("div", tag("h3", "Votes per row"), empty("There are no rows yet: ", "groundswell run"), sql_buttons(answer))
    one = sum(r["n_entities"] for r in answer.rows if r["n_votes"] == 1)
    caption = f"A label model learns from rows with two votes or more; {percent(one / total, 0)} of rows hang on a single rule."
    values = [
        {"votes": r["n_votes"], "what": what, "rows": n}
        for r in answer.rows
        for what, n in (("one class", r["n_entities"] - r["n_conflicting"]), ("classes conflict", r["n_conflicting"]))
        if n
    ]
    spec = {
        "height": 240,
        "data": {"values": values},
        "mark": {"type": "bar", "cornerRadiusEnd": 2},
        "encoding": {
            "x": {"field": "votes", "type": "ordinal", "title": "votes on a row", "axis": {"labelAngle": 0, "labelOverlap": True}},
            "y": {"field": "rows", "type": "quantitative", "title": "rows", "axis": {"format": "~s", "tickCount": 5}},
            "color": {
                "field": "what",
                "type": "nominal",
                "title": None,
                "scale": {"domain": ["one class", "classes conflict"], "range": ["var(--blue)", "var(--orange)"]},
                "legend": {"orient": "top"},
            },
            "tooltip": [{"field": "votes"}, {"field": "what", "title": "which"}, {"field": "rows", "format": ","}],
        },
    }
    data = (("votes", "rows", "of them conflicting"), [(r["n_votes"], count(r["n_entities"]), count(r["n_conflicting"])) for r in answer.rows])
    return figure("density", "Votes per row", caption, vega(spec, "Bar chart of votes per row"), answer, data=data)


# -- confidence ---------------------------------------------------------------------------------------------------------


def confidence(page: Page) -> Html:
    """A histogram with a slider: how many labels stay, how often they are right."""
    answer = page.questions.ask("report_confidence")
    if not answer.rows:
        return tag(
            "div",
            tag("h3", "Confidence"),
            empty("There are no labels yet. Write labeling functions and run: ", "groundswell run"),
            sql_buttons(answer),
        )
    judged = sum(r["n_gold"] for r in answer.rows)
    bins = [
        {"from": r["threshold"], "to": round(r["threshold"] + 0.01, 2), "n": r["n_labels"], "gold": r["n_gold"], "right": r["n_correct"]}
        for r in answer.rows
    ]
    caption = "Move the line: labels to its right stay. " + (
        f"Their accuracy is measured on {plural(judged, 'gold row')} of dev and test."
        if judged
        else "There is no gold in dev and test, so their accuracy cannot be measured."
    )
    lowest = 1 / max(2, len(page.classes))
    start = int(100 * lowest)
    slider = tag(
        "div",
        tag("label", "least confidence ", tag("input", type_="range", min=start, max=100, step=1, value=start, id_="cut")),
        tag("output", for_="cut", aria_live="polite"),
        class_="slider",
    )
    chart = vega(_confidence_spec(bins, start), "Histogram of confidence")
    data = (("least confidence", "labels that stay", "share", "accuracy on gold"), list(_thresholds(answer)))
    return figure("confidence", "How sure the labels are", caption, tag("div", slider, chart), answer, data=data)


def _confidence_spec(bins: list[dict], start: int) -> dict:
    return {
        "height": 220,
        "data": {"values": bins},
        "params": [{"name": "cut", "value": start / 100}],
        "layer": [
            {
                "mark": {"type": "bar", "binSpacing": 0.5},
                "encoding": {
                    "x": {
                        "field": "from",
                        "type": "quantitative",
                        "title": "confidence of the label",
                        "scale": {"domain": [start / 100, 1], "nice": False},
                        "axis": {"format": "~%", "tickCount": 6},
                    },
                    "x2": {"field": "to"},
                    "y": {"field": "n", "type": "quantitative", "title": "labels", "scale": {"zero": True}, "axis": {"format": "~s", "tickCount": 4}},
                    "y2": {"datum": 0},
                    "color": {"condition": {"test": "datum.from >= cut - 1e-9", "value": "var(--blue)"}, "value": "var(--grey)"},
                    "tooltip": [
                        {"field": "from", "format": ".0%"},
                        {"field": "n", "title": "labels", "format": ","},
                        {"field": "gold", "title": "with gold", "format": ","},
                        {"field": "right", "title": "right", "format": ","},
                    ],
                },
            },
            {
                "data": {"values": [{"n": 0}]},
                "transform": [{"calculate": "cut", "as": "from"}],
                "mark": {"type": "rule", "color": "var(--fg)", "strokeWidth": 2},
                "encoding": {"x": {"field": "from", "type": "quantitative"}},
            },
        ],
    }


def _thresholds(answer: Answer):
    total = sum(r["n_labels"] for r in answer.rows)
    for tenths in range(0, 20):
        least = tenths / 20
        kept = [r for r in answer.rows if r["threshold"] >= least - 1e-9]
        n, gold, right = (sum(r[key] for r in kept) for key in ("n_labels", "n_gold", "n_correct"))
        if n and least >= answer.rows[0]["threshold"] - 0.05:
            yield percent(least, 0), count(n), percent(n / total), f"{percent(right / gold)} of {count(gold)}" if gold else "–"


# -- calibration --------------------------------------------------------------------------------------------------------


def calibration(page: Page) -> Html:
    """Confidence against accuracy, for the label model and the end model."""
    answers = [page.questions.ask("report_calibration_labels")]
    if page.questions.has("predictions"):
        answers.append(page.questions.ask("report_calibration_end_model"))
    rows = [r for answer in answers for r in answer.rows]
    if not rows:
        return tag(
            "div",
            tag("h3", "Calibration"),
            empty(
                "There is no gold in the dev and test splits, so nobody can tell whether 90 % confidence is right 9 times in 10. Label some rows in ",
                "gold/*.csv",
            ),
            sql_buttons(*answers),
        )
    caption = "On the dashed line confidence is honest. Points below it are too sure of themselves; bars are 95 % Wilson intervals, wide where few rows have gold."
    data = (
        ("model", "mean confidence", "accuracy", "95 % interval", "rows"),
        [
            (r["model"], percent(r["mean_confidence"]), percent(r["accuracy"]), f"{percent(r['low'])} to {percent(r['high'])}", count(r["n"]))
            for r in rows
        ],
    )
    values = [
        {
            "model": r["model"],
            "x": round(r["mean_confidence"], 6),
            "y": round(r["accuracy"], 6),
            "low": round(r["low"], 6),
            "high": round(r["high"], 6),
            "n": r["n"],
        }
        for r in rows
    ]
    return figure("calibration", "Calibration", caption, vega(_calibration_spec(values), "Calibration curve"), *answers, data=data)


def _calibration_spec(values: list[dict]) -> dict:
    colours = {"label model": ("var(--blue)", "circle"), "end model": ("var(--orange)", "square")}
    domain = [m for m in colours if any(v["model"] == m for v in values)]
    least = min(0.5, *(v["x"] for v in values))
    colour = {
        "field": "model",
        "type": "nominal",
        "title": None,
        "scale": {"domain": domain, "range": [colours[m][0] for m in domain]},
        "legend": {"orient": "top"},
    }
    shape = {
        "field": "model",
        "type": "nominal",
        "title": None,
        "scale": {"domain": domain, "range": [colours[m][1] for m in domain]},
        "legend": {"orient": "top"},
    }
    x = {"field": "x", "type": "quantitative", "title": "mean confidence", "scale": {"domain": [least, 1]}, "axis": {"format": "~%", "tickCount": 5}}
    y = {"field": "y", "type": "quantitative", "title": "accuracy", "scale": {"domain": [0, 1]}, "axis": {"format": "~%", "tickCount": 5}}
    tip = [
        {"field": "model"},
        {"field": "x", "title": "confidence", "format": ".1%"},
        {"field": "y", "title": "accuracy", "format": ".1%"},
        {"field": "n", "title": "rows", "format": ","},
    ]
    honest = {
        "data": {"values": [{"x": least, "y": least}, {"x": 1, "y": 1}]},
        "mark": {"type": "line", "strokeDash": [4, 4], "color": "var(--muted)", "strokeWidth": 1},
    }
    return {
        "height": 240,
        "data": {"values": values},
        "encoding": {"x": x, "y": y},
        "layer": [
            honest,
            {
                "mark": {"type": "rule", "opacity": 0.5, "strokeWidth": 2},
                "encoding": {"y": {"field": "low", "type": "quantitative"}, "y2": {"field": "high"}, "color": colour},
            },
            {"mark": {"type": "line", "strokeWidth": 1.5}, "encoding": {"color": colour}},
            {"mark": {"type": "point", "filled": True, "size": 60, "opacity": 1}, "encoding": {"color": colour, "shape": shape, "tooltip": tip}},
        ],
    }


# -- class balance ------------------------------------------------------------------------------------------------------


def balance(page: Page) -> Html:
    """The classes' shares at each station: prior, votes, labels, gold, predictions."""
    answers = [page.questions.ask("report_balance")]
    if page.questions.has("predictions"):
        answers.append(page.questions.ask("report_balance_predictions"))
    predicted = answers[1].by("label") if len(answers) > 1 else {}
    stations = [
        (name, [(r["label"], value(r)) for r in answers[0].rows])
        for name, value in (
            ("prior", lambda r: r["prior"]),
            ("votes", lambda r: r["n_votes"]),
            ("labels", lambda r: r["n_labels"]),
            ("predictions", lambda r: predicted.get(r["label"], {}).get("n_predictions")),
            ("gold", lambda r: r["n_gold"]),
        )
    ]
    shares = [(name, [(label, (n or 0) / total) for label, n in row]) for name, row in stations if (total := sum(n or 0 for _, n in row))]
    if not shares:
        return tag("div", tag("h3", "Class balance"), empty("There are no votes yet: ", "groundswell run"), sql_buttons(*answers))
    caption = "From top to bottom: what the label model believes, what rules say, what rows get, what gold says. A class that shrinks on the way needs rules of its own."
    values = [{"station": name, "label": label, "share": round(share, 6), "place": i} for name, row in shares for i, (label, share) in enumerate(row)]
    names = [name for name, _ in shares]
    data = (("class", *names), [(label, *(percent(dict(row)[label]) for _, row in shares)) for label, _ in shares[0][1]])
    return figure("balance", "Class balance", caption, vega(_balance_spec(page, values, names), "Stacked bars of class shares"), *answers, data=data)


def _balance_spec(page: Page, values: list[dict], names: list[str]) -> dict:
    classes = list(page.classes)
    x = {
        "field": "share",
        "type": "quantitative",
        "title": None,
        "stack": "zero",
        "scale": {"domain": [0, 1]},
        "axis": {"format": "~%", "tickCount": 5},
    }
    y = {"field": "station", "type": "nominal", "title": None, "sort": names, "axis": {"ticks": False, "domain": False}}
    colour = {
        "field": "label",
        "type": "nominal",
        "title": None,
        "scale": {"domain": classes, "range": [page.colour(c) for c in classes]},
        "legend": LEGEND,
    }
    return {
        "height": 34 * len(names),
        "data": {"values": values},
        "transform": [
            {"stack": "share", "groupby": ["station"], "sort": [{"field": "place"}], "as": ["start", "end"]},
            {"calculate": "(datum.start + datum.end) / 2", "as": "middle"},
        ],
        "encoding": {"y": y},
        "layer": [
            {
                "mark": {"type": "bar", "stroke": "var(--bg)", "strokeWidth": 1},
                "encoding": {
                    "x": x | {"field": "start", "stack": None},
                    "x2": {"field": "end"},
                    "color": colour,
                    "tooltip": [{"field": "station"}, {"field": "label", "title": "class"}, {"field": "share", "format": ".1%"}],
                },
            },
            {
                "transform": [{"filter": "datum.share >= 0.09"}],
                "mark": {"type": "text", "fontSize": 11, "fontWeight": 600, "color": "#111"},
                "encoding": {"x": {"field": "middle", "type": "quantitative"}, "text": {"field": "share", "format": ".0%"}},
            },
        ],
    }
