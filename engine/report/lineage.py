"""Where everything comes from: runs, what each table was built of, versions."""

from __future__ import annotations

from .format import plural
from .html import Html, tag
from .parts import Page, empty, plain_table, section, sql_buttons


def lineage(page: Page) -> Html:
    """The section about runs."""
    task = page.questions.task.name
    runs, built, versions = (page.questions.ask(name, task=task) for name in ("report_runs", "report_lineage", "report_versions"))
    lead = "What ran, what each table was last built of, with which versions: enough to repeat it."
    if not runs.rows:
        return section("lineage", "Where it comes from", lead, empty("No run is recorded: ", "groundswell run"), sql_buttons(runs))
    return section(
        "lineage",
        "Where it comes from",
        lead,
        tag("h3", "Runs"),
        plain_table(
            ("run", "verb", "started (UTC)", "seconds", "status"),
            [(r["run_id"], r["verb"], r["started_at"], f"{r['seconds']:.1f}" if r["seconds"] is not None else "–", r["status"]) for r in runs.rows],
        ),
        sql_buttons(runs),
        tag("h3", "Tables and their inputs"),
        plain_table(
            ("table", "built of", "in run", "hash of the input"),
            [(tag("code", r["output"]), _input(r), r["run_id"], tag("code", (r["input_hash"] or "–")[:12])) for r in built.rows],
        ),
        sql_buttons(built),
        tag("h3", "Versions"),
        tag("p", [tag("span", tag("b", r["package"]), " ", r["version"]) for r in versions.rows], class_="facts"),
        sql_buttons(versions),
    )


def _input(row: dict) -> Html | str:
    return tag("code", row["input"]) if row["input_hash"] is not None else plural(row["n_inputs"], "labeling function")
