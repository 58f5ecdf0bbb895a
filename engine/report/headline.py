"""The headline: how much is labelled, by what, how well, what changed, what to do next."""

from __future__ import annotations

from shlex import quote
from typing import Any

from .ask import Answer
from .format import count, percent, plural, sentence, signed
from .html import Html, tag
from .parts import Page, empty, scroller, section, sql_buttons

MODELS = ("majority vote", "label model", "end model")
SPLITS = ("dev", "test")


def headline(page: Page) -> Html:
    """The first screen."""
    ask = page.questions.ask
    totals, models = ask("report_totals"), ask("report_label_models")
    judged = baselines(page)
    lfs = ask("report_lf")
    return section(
        "headline",
        "Where it stands",
        lead(totals.rows[0], models.rows),
        cards(totals.rows[0], models.rows),
        sql_buttons(totals, models),
        warnings(models.rows),
        comparison(judged, totals.rows[0]["n_gold"]),
        changes(page, models.rows),
        next_steps(page, totals.rows[0], lfs.rows),
    )


def baselines(page: Page) -> list[Answer]:
    """Accuracy of majority vote and the label model, and of the end model where there is one."""
    ask, positive = page.questions.ask, page.classes[-1]
    found = [ask("report_label_accuracy", positive=positive)]
    return found + ([ask("report_end_model_accuracy", positive=positive)] if page.questions.has("predictions") else [])


def lead(totals: dict, models: list[dict]) -> str:
    """One sentence for somebody who reads nothing else."""
    n, covered = totals["n_entities"], totals["n_covered"]
    if not n or not models:
        return "Nothing is labelled yet. Write labeling functions in lfs/ and run groundswell."
    if not covered:
        return f"None of {plural(n, 'row')} has a label: no labeling function votes on any of them."
    verb = "labels" if totals["n_lfs"] == 1 else "label"
    start = f"{plural(totals['n_lfs'], 'labeling function')} {verb} {count(covered)} of {plural(n, 'row')} ({percent(covered / n)})"
    expected = models[0]["expected_accuracy"]
    return f"{start}; the label model expects {percent(expected)} of these labels to be right." if expected is not None else f"{start}."


def cards(totals: dict, models: list[dict]) -> Html:
    """The numbers one asks for first."""
    n = totals["n_entities"]
    facts: list[tuple[str, str, str]] = [
        ("rows", count(n), f"{plural(totals['n_patterns'], 'distinct vote pattern')}"),
        (
            "coverage",
            percent(totals["n_covered"] / n if n else None),
            f"{percent(totals['n_conflicting'] / n if n else None)} of rows have votes that conflict",
        ),
    ]
    if models:
        model = models[0]
        chosen = model["chosen"].replace("_", " ")
        facts += [
            (
                "label model",
                chosen,
                (
                    f"chosen by {model['method']}: {model['reason']}"
                    if model["method"] != model["chosen"] and model["reason"]
                    else model["reason"] or "as configured"
                ),
            ),
            ("expected accuracy", percent(model["expected_accuracy"]), "the model's own estimate on covered rows, not a measurement"),
            ("differs from majority vote", percent(model["majority_disagreement"]), "of covered rows get another label than most votes say"),
        ]
    return tag(
        "dl", [tag("div", tag("dt", name), tag("dd", tag("strong", value), tag("small", note))) for name, value, note in facts], class_="cards"
    )


def warnings(models: list[dict]) -> Html | None:
    """What the label model warns of."""
    found = models[0]["warnings"] if models else None
    if not found:
        return None
    return tag("aside", tag("h3", plural(len(found), "warning")), tag("ul", [tag("li", w) for w in found]), class_="warning")


def comparison(judged: list[Answer], n_gold: int) -> Html:
    """The three baselines side by side, on the same rows."""
    title = tag("h3", "Measured against gold")
    rows = {(r["split"], r["model"]): r for answer in judged for r in answer.rows}
    splits = [s for s in SPLITS if any(split == s for split, _ in rows)] or sorted({split for split, _ in rows})
    if not rows:
        what = "No row that has a vote has a gold label" if n_gold else "There are no gold labels"
        return tag(
            "div",
            title,
            empty(
                f"{what}: a few hundred checked rows in the dev and test splits would show how good these labels are. Name them in groundswell.toml: ",
                "gold = { from = …, key = …, label = … }",
            ),
        )
    names = [m for m in MODELS if any(model == m for _, model in rows)]
    head = tag(
        "tr",
        tag("th", "split", scope="col"),
        tag("th", "model", scope="col"),
        [
            tag("th", h, scope="col", class_="num")
            for h in ("gold rows", "accuracy, 95 % interval", "points over majority", "AUPRC", "accuracy, all rows")
        ],
    )
    body = [
        _baseline_row(rows[s, m], rows.get((s, "majority vote")), first=i == 0)
        for s in splits
        for i, m in enumerate(m for m in names if (s, m) in rows)
    ]
    note = (
        "Accuracy and AUPRC are on the rows at least one labeling function votes on, the same rows for all models; in “all rows” a row without a label counts as wrong. "
        "A label model that does not beat majority vote is not earning its keep; where the intervals overlap, nobody can tell yet."
    )
    missing = None if "end model" in names else empty("No end model yet: it would label the rows that no rule touches. ", "groundswell train")
    table = tag("table", tag("thead", head), tag("tbody", body), class_="models")
    return tag("div", title, tag("p", note, class_="note"), scroller("accuracy of three models", table), sql_buttons(*judged), missing)


def _baseline_row(row: dict, floor: dict | None, first: bool) -> Html:
    gain = (
        row["accuracy"] - floor["accuracy"] if floor and row is not floor and row["accuracy"] is not None and floor["accuracy"] is not None else None
    )
    delta = tag("span", signed(100 * gain), class_="up" if gain > 5e-5 else "down" if gain < -5e-5 else None) if gain is not None else None
    return tag(
        "tr",
        tag("th", row["split"] if first else tag("span", row["split"], class_="unseen"), scope="row"),
        tag("td", row["model"]),
        tag("td", count(row["n_covered"]), class_="num"),
        tag("td", bar(row["accuracy"]), tag("span", percent(row["accuracy"]), class_="value"), _between(row), class_="num interval"),
        tag("td", delta or "–", class_="num"),
        tag("td", percent(row["average_precision"]), class_="num"),
        tag("td", percent(row["accuracy_all"]), class_="num"),
        class_="first" if first else None,
    )


def _between(row: dict) -> Html | None:
    return tag("small", f"{100 * row['low']:.0f}–{100 * row['high']:.0f} %") if row["low"] is not None else None


def bar(share: float | None) -> Html | None:
    """A share as a small bar."""
    if share is None:
        return None
    return tag(
        "svg", tag("rect", width=f"{100 * share:.2f}", height="6"), class_="bar", viewBox="0 0 100 6", preserveAspectRatio="none", aria_hidden="true"
    )


def changes(page: Page, models: list[dict]) -> Html:
    """What is different since the last run and the last label model."""
    answer = page.questions.ask("report_change", task=page.questions.task.name)
    said = _model_change(models) + [_lf_change(row) for row in answer.rows[:8]]
    if len(answer.rows) > 8:
        said.append(f"and {plural(len(answer.rows) - 8, 'more labeling function')}")
    body = (
        tag("ul", [tag("li", s) for s in said])
        if said
        else tag("p", "Nothing to compare with, or nothing changed: the votes of the last two runs are the same.", class_="note")
    )
    return tag("div", tag("h3", "Since the run before"), body, sql_buttons(answer), class_="half")


def _model_change(models: list[dict]) -> list[str]:
    if len(models) < 2:
        return []
    now, before = models
    said = [f"label model: {before['chosen']} became {now['chosen']}"] if now["chosen"] != before["chosen"] else []
    for key, name in (("expected_accuracy", "expected accuracy"), ("majority_disagreement", "distance from majority vote")):
        if now[key] is not None and before[key] is not None and round(now[key] - before[key], 4):
            said.append(f"{name}: {percent(before[key], 2)} became {percent(now[key], 2)}")
    return said


def _lf_change(row: dict) -> list[Any]:
    what = (
        f"new, {plural(row['n_after'] or 0, 'vote')}"
        if row["n_before"] is None
        else (
            f"gone or failing, had {plural(row['n_before'], 'vote')}"
            if row["n_after"] is None
            else f"{count(row['n_before'])} became {plural(row['n_after'], 'vote')}"
        )
    )
    return [tag("code", row["lf"]), f": {what}"]


def next_steps(page: Page, totals: dict, lfs: list[dict]) -> Html:
    """At most four commands worth typing now, the most urgent first."""
    steps = list(_steps(page, totals, lfs))[:4]
    items = [tag("li", text, " ", tag("code", command)) for text, command in steps]
    return tag("div", tag("h3", "What to do next"), tag("ol", items), class_="half")


def _steps(page: Page, totals: dict, lfs: list[dict]):
    broken = [r["lf"] for r in lfs if r["status"] != "ok"]
    if broken:
        yield f"{sentence(broken)} cannot be evaluated.", "groundswell check"
    chance = 1 / max(2, len(page.classes))
    bad = sorted((r for r in lfs if r["high"] is not None and r["high"] < max(0.6, chance)), key=lambda r: (r["high"], r["lf"]))
    if bad:
        yield f"{bad[0]['lf']} is right on at most {percent(bad[0]['high'], 0)} of its votes: mend or drop it.", f"groundswell show {quote(bad[0]['lf'])} --wrong"
    silent = [r["lf"] for r in lfs if r["status"] == "ok" and not r["n_votes"]]
    if silent:
        yield f"{sentence(silent)} never {'votes' if len(silent) == 1 else 'vote'}.", f"groundswell show {quote(silent[0])}"
    uncovered = totals["n_entities"] - totals["n_covered"]
    if uncovered:
        yield f"{plural(uncovered, 'row')} without a vote: read a few and write a rule for them.", "groundswell show --uncovered"
    if not totals["n_gold"]:
        yield "Label a few hundred rows by hand, so that accuracy is measured and not believed.", "gold/*.csv"
    if not page.questions.has("predictions"):
        yield "Train an end model on these labels.", "groundswell train"
    yield "Hand the labels over.", "groundswell export labels"
