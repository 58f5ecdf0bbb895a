"""Why rows have their labels: waterfalls of evidence for the most certain, the least certain and the wrong ones."""

from __future__ import annotations

from typing import Sequence

from .format import percent, plural, signed
from .functions import entity
from .html import Html, tag
from .parts import Page, empty, section, sql_buttons

N_EACH = 2
LONGEST = 10
UNITS = {"majority": "votes", "majority_soft": "votes"}


def why(page: Page) -> Html:
    """The section about single rows."""
    lead = "Each bar starts where the one above ends: votes to the right speak for the label, votes to the left for the runner-up. Where one bar decides alone, the label is worth one rule. groundswell explain KEY tells the same of any row."
    answer = page.questions.ask("report_explained", n=N_EACH)
    if not answer.rows:
        return section(
            "why", "Why rows have their labels", lead, empty("No row of train or dev has a label yet: ", "groundswell run"), sql_buttons(answer)
        )
    models = page.questions.ask("report_label_models").rows
    unit = UNITS.get(models[0]["chosen"], "log-odds") if models else "log-odds"
    return section(
        "why", "Why rows have their labels", lead, tag("div", [story(page, row, unit) for row in answer.rows], class_="stories"), sql_buttons(answer)
    )


def story(page: Page, row: dict, unit: str) -> Html:
    """One entity: what it is, what it got, and the evidence."""
    verdict = None if row["gold"] is None else "gold agrees" if row["gold"] == row["label"] else ["gold says ", page.badge(row["gold"])]
    head = tag("h3", row["kind"], " ", tag("code", page.discretion.key(row["entity"])))
    got = tag(
        "p",
        page.badge(row["label"], "a tie"),
        f" {_p(row['confidence'])}, against ",
        page.badge(row["runner_up"]),
        [" · ", verdict] if verdict else None,
        class_="who",
    )
    same = tag("p", f"{plural(row['n_entities'], 'row')} {'has' if row['n_entities'] == 1 else 'have'} exactly these votes.", class_="note")
    return tag("article", head, got, entity(page, row["entity"]), waterfall(row["evidence"] or [], unit), same, class_="story")


def _p(confidence: float) -> str:
    """p = 93.00 %, or p > 99.99 %."""
    text = percent(confidence, 2)
    return f"p {text}" if text[0] in "<>" else f"p = {text}"


def waterfall(evidence: Sequence[dict], unit: str) -> Html:
    """A table whose last column draws each piece of evidence from where the sum stood before."""
    steps = [(e["source"], e["vote"] or ("abstains" if e["source"] != "(class balance)" else "prior"), e["evidence"]) for e in evidence[:LONGEST]]
    if len(evidence) > LONGEST:
        steps.append((plural(len(evidence) - LONGEST, "smaller piece"), "", sum(e["evidence"] for e in evidence[LONGEST:])))
    sums = [0.0]
    for _, _, value in steps:
        sums.append(sums[-1] + value)
    low, high = min(sums), max(sums)
    rows = [
        tag(
            "tr",
            tag("th", name, scope="row"),
            tag("td", vote),
            tag("td", signed(value), class_="num"),
            tag("td", _step(before, after, low, high), class_="fall"),
        )
        for (name, vote, value), before, after in zip(steps, sums, sums[1:])
    ]
    total = tag(
        "tr",
        tag("th", "sum", scope="row"),
        tag("td"),
        tag("td", signed(sums[-1]), class_="num"),
        tag("td", _step(0.0, sums[-1], low, high, "sum"), class_="fall"),
        class_="sum",
    )
    head = tag("tr", [tag("th", h, scope="col", class_=c) for h, c in (("source", None), ("vote", None), (unit, "num"), ("", "fall"))])
    return tag("table", tag("thead", head), tag("tbody", rows, total), class_="waterfall")


def _step(before: float, after: float, low: float, high: float, kind: str | None = None) -> Html:
    span = (high - low) or 1.0
    at, zero = (100 * (min(before, after) - low) / span, 100 * (0.0 - low) / span)
    width = max(100 * abs(after - before) / span, 0.6)
    marks = [
        tag("rect", class_="zero", x=f"{min(zero, 99.6):.2f}", y="0", width="0.4", height="14"),
        tag(
            "rect",
            class_=kind or ("for" if after >= before else "against"),
            x=f"{min(at, 100 - width):.2f}",
            y="2",
            width=f"{width:.2f}",
            height="10",
        ),
    ]
    return tag("svg", marks, viewBox="0 0 100 14", preserveAspectRatio="none", aria_hidden="true")
