"""The page: sections, style and scripts in one file that needs no network."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib.resources import files

from ..store import Store
from ..types import Task
from .ask import Questions
from .end_model import end_model
from .features import features
from .functions import functions
from .headline import headline
from .html import Html, tag
from .labels import labels
from .lineage import lineage
from .parts import Page
from .redact import Discretion
from .studies import studies
from .together import together
from .why import why

SECTIONS = (
    ("headline", "Headline"),
    ("functions", "Functions"),
    ("features", "Features"),
    ("together", "Together"),
    ("labels", "Labels"),
    ("model", "End model"),
    ("studies", "Studies"),
    ("why", "Why"),
    ("lineage", "Lineage"),
)


def build_report(store: Store, task: Task, redact: bool = False) -> str:
    """The report of a task as one HTML text: offline, the same bytes for the same store.

    redact  texts of entities become their length and a hash; errors only their code
    """
    page = Page(Questions(store, task), Discretion(redact))
    parts = [make(page) for make in (headline, functions, features, together, labels, end_model, studies, why, lineage)]
    return document(page, parts)


def document(page: Page, parts: list[Html]) -> str:
    """The sections with everything around them."""
    name = page.questions.task.name
    scripts = [charts_script(), asset("page.js")]
    head = [
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy(scripts)),
        tag("title", f"{name}: groundswell report"),
        Html(f"<style>{asset('page.css')}</style>"),
    ]
    top = tag(
        "header",
        tag("p", "groundswell report", class_="mark"),
        tag("h1", tag("bdi", name)),
        tag("p", [page.badge(c) for c in page.classes], class_="classes"),
        _made(page),
        navigation(),
    )
    notice = tag(
        "noscript", tag("p", "Charts are drawn by a script in this file. Without it, their numbers are in the tables below each.", class_="empty")
    )
    foot = tag(
        "footer",
        tag(
            "p",
            "Every SQL button holds the query that made what stands above it; it runs in any DuckDB client on ",
            tag("code", "groundswell.duckdb"),
            ".",
        ),
    )
    body = tag(
        "body",
        tag("a", "Skip to content", href="#content", class_="skip"),
        top,
        tag("main", notice, parts, id_="content"),
        foot,
        tag("div", id_="tip", role="status", hidden=True),
        [Html(f'<script type="module">{s}</script>') for s in scripts],
    )
    return f'<!DOCTYPE html>\n<html lang="en">{tag("head", head)}{body}</html>\n'


def _made(page: Page) -> Html:
    runs = page.questions.ask("report_runs", task=page.questions.task.name).rows
    when = f"The store as of {runs[0]['started_at']} UTC, run {runs[0]['run_id']}." if runs else "No run is recorded."
    return tag("p", when, " Texts are redacted." if page.discretion.redact else None, class_="note")


def navigation() -> Html:
    """Links to the sections."""
    return tag("nav", [tag("a", title, href=f"#{key}") for key, title in SECTIONS], aria_label="sections")


def policy(scripts: list[str]) -> str:
    """A content security policy: nothing is fetched, no script runs but ours."""
    hashes = " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(s.encode()).digest()).decode()}'" for s in scripts)
    return f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"


@cache
def asset(name: str) -> str:
    """A file of engine/report/assets."""
    return files("groundswell.report").joinpath("assets", name).read_text(encoding="utf-8")


@cache
def charts_script() -> str:
    """Vega, Vega-Lite and Vega-Embed as one script that needs no network."""
    import vl_convert

    return vl_convert.javascript_bundle().replace("</script", "<\\/script")
