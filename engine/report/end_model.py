"""The end model: what it reads, what each modality gives it, how its options were found, how it does on live rows."""

from __future__ import annotations

from itertools import groupby
from typing import Any, Sequence

from .format import count, percent, plural
from .headline import bar
from .html import Html, tag
from .parts import Page, empty, plain_table, scroller, section, sql_buttons

MOST_REVIEWS = 6
"""Reviews shown; the SQL gives them all."""


def end_model(page: Page) -> Html:
    """The section about the end model."""
    title, lead = "End model", "The model that answers for rows no rule touches. It reads servable features alone, so that it can be deployed."
    found = page.questions.ask("report_end_model") if page.questions.has("end_model") else None
    if found is None or not found.rows:
        return section("model", title, lead, empty("There is none yet: ", "groundswell train"))
    return section("model", title, lead, facts(found.rows[0]), sql_buttons(found), shares(page), trials(page), live(page))


def facts(model: dict) -> Html:
    """Which one it is and what it needs."""
    inputs = [tag("code", name) for name in model["features"]]
    said = f"Model {model['model_id']} ({model['method']}), trained {model['created_at']} UTC, needs {plural(len(inputs), 'input')}, all servable: "
    return tag("p", said, [[", " if i else None, each] for i, each in enumerate(inputs)], ".")


def shares(page: Page) -> Html | None:
    """What the features of each modality add; nothing for a task of one modality."""
    answer = page.questions.ask("report_modality_shares") if page.questions.has("study") else None
    if answer is None or not answer.rows:
        return None
    note = "Mean absolute change of the log-odds of the most probable class against the second when these features are left out of rows of that modality. No label is looked at."
    rows = [(r["arm"], f"{r['value']:.3f}", f"{r['low']:.3f} to {r['high']:.3f}", count(r["n_rows"])) for r in answer.rows]
    return tag("div", tag("h3", "What each modality contributes"), tag("p", note, class_="note"), plain_table(("features and rows", "log-odds", "95 % interval", "rows"), rows), sql_buttons(answer))


def trials(page: Page) -> Html | None:
    """What a search tried; nothing without one."""
    answer = page.questions.ask("report_trials") if page.questions.has("trial") else None
    if answer is None or not answer.rows:
        return None
    note = "Log loss on the labels that labeling functions give rows of the dev split: gold judged no trial, and a low loss may also mean that the rules are learned again."
    rows = [(r["trial_id"], r["options"], "diverged" if r["value"] is None else f"{r['value']:.4f}", f"{r['seconds']:.1f}") for r in answer.rows]
    return tag("div", tag("h3", "The search for options"), tag("p", note, class_="note"), plain_table(("trial", "options", "log loss", "seconds"), rows), sql_buttons(answer))


def live(page: Page) -> Html:
    """Metrics from reviewed rows, all reviews together first."""
    title = tag("h3", "Live metrics")
    answer = page.questions.ask("report_live_metric") if page.questions.has("live_metric") else None
    if answer is None or not answer.rows:
        return tag("div", title, empty("No row is reviewed to judge it by: ", "groundswell review --strategy monitor"))
    reviews = [list(rows) for _, rows in groupby(answer.rows, key=lambda r: r["reviewed_at"])]
    note = "Estimated from rows drawn with known probabilities and answered by people who saw no model; intervals of 95 %. A dash: no reviewed row tells."
    more = tag("p", f"{plural(len(reviews) - MOST_REVIEWS, 'more review')}: run the SQL.", class_="note") if len(reviews) > MOST_REVIEWS else None
    return tag("div", title, tag("p", note, class_="note"), _live_table(reviews[:MOST_REVIEWS]), more, sql_buttons(answer))


def _live_table(reviews: Sequence[Sequence[dict[str, Any]]]) -> Html:
    heads = tag("tr", [tag("th", name, scope="col", class_=kind) for name, kind in (("review", None), ("metric", None), ("value", "num"), ("95 % interval", "num"), ("rows", "num"))])
    return scroller("live metrics", tag("table", tag("thead", heads), [tag("tbody", _review(rows)) for rows in reviews], class_="models"))


def _review(rows: Sequence[dict[str, Any]]) -> list[Html]:
    name = tag("th", rows[0]["reviewed_at"] or "all reviews", scope="row", rowspan=str(len(rows)))
    return [
        tag(
            "tr", name if i == 0 else None, tag("td", r["metric"].replace("_", " ")), tag("td", bar(r["value"]), percent(r["value"]), class_="num"),
            tag("td", "–" if r["low"] is None else f"{percent(r['low'])} to {percent(r['high'])}", class_="num"), tag("td", count(r["n_reviewed"]), class_="num"), class_="first" if i == 0 else None,
        )
        for i, r in enumerate(rows)
    ]  # fmt: skip
