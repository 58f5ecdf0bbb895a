"""The page: nothing of the user's becomes markup, nothing is fetched, every SQL button runs, every gap has a sentence."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest
from small_store import World, random_world, store_of

from groundswell.report import build_report
from groundswell.report.html import VOID, Html, embedded, safe, tag
from groundswell.report.page import charts_script

EVIL = "</script><script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'>\"'&{{1+1}}"


def report(world: World, redact: bool = False) -> str:
    return build_report(store_of(world), world.task, redact)


def hostile(name: str = "spam") -> World:
    """Markup in texts, class names, LF names, errors and warnings."""
    bad, good = f"bad {EVIL}", f"good {EVIL}"
    votes = {e: {f"lf {EVIL}": bad, **({"other": good} if e % 3 else {})} for e in range(12)}
    return World(
        votes,
        (good, bad),
        {e: ("train", "dev", "test")[e % 3] for e in votes},
        {e: (bad, good)[e % 2] for e in votes},
        {e: f"{EVIL} secret{e}" for e in votes},
        broken={f"broken {EVIL}": f"error[LF116]: cannot cast {EVIL} secretvalue"},
        warnings=[EVIL],
        name=name,
        predicted={e: {good: 0.4, bad: 0.6} for e in votes},
    )


class Seen(HTMLParser):
    """Tags with attributes, texts by the element they stand in; fails on elements that do not close."""

    def __init__(self, page: str):
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict]] = []
        self.texts: list[tuple[str, str]] = []
        self.open: list[str] = []
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append((self.open[-1] if self.open else "", data))

    def attributes(self, name: str) -> list[str]:
        return [found[name] for _, found in self.tags if name in found]

    def text(self, *elements: str) -> list[str]:
        return [data for element, data in self.texts if element in elements]


def queries(page: str) -> list[str]:
    """The texts behind the SQL buttons."""
    blocks = re.findall(r'<div class="query"><button[^>]*>Copy</button><pre tabindex="0">(.*?)</pre>', page, re.DOTALL)
    return ["".join(Seen(block).text("", "code", "b", "q", "em", "i")) for block in blocks]


# -- safe by construction -----------------------------------------------------------------------------------------------


def test_texts_are_escaped_and_markup_is_not_escaped_twice():
    assert (
        tag("p", "<b>", tag("i", "&"), None, [1, " ", Html("<br>")], class_='a"b', data_x=2, hidden=True, id_=None)
        == '<p class="a&quot;b" data-x="2" hidden>&lt;b&gt;<i>&amp;</i>1 <br></p>'
    )
    assert safe("a\x00\ud800b") == "a\ufffd\ufffdb"
    assert json.loads(embedded(json.dumps(EVIL))) == EVIL and "<" not in embedded(EVIL)


def test_hostile_data_stays_text():
    page = report(hostile())
    seen = Seen(page)
    assert [t for t, _ in seen.tags if t in ("img", "iframe", "object", "link", "base", "form", "a")].count("img") == 0
    assert not [name for _, found in seen.tags for name in found if name.startswith("on")]
    scripts = [found.get("type") for t, found in seen.tags if t == "script"]
    assert scripts.count("module") == 2 and set(scripts) == {"module", "application/json"}
    assert EVIL.split("<img")[0] not in page.replace(charts_script(), "")
    for block in re.findall(r'<script type="application/json" class="spec">(.*?)</script>', page, re.DOTALL):
        json.loads(block)


def test_nothing_is_fetched():
    page = report(hostile())
    seen = Seen(page)
    for name in ("src", "action", "data", "poster", "background", "srcset", "xlink:href"):
        assert seen.attributes(name) == []
    assert all(target.startswith("#") for target in seen.attributes("href"))
    ours = page.replace(charts_script(), "")
    assert not re.search(r"https?://|url\(|@import|\bfetch\(|XMLHttpRequest|import\(", ours)
    (policy,) = [found["content"] for t, found in seen.tags if t == "meta" and found.get("http-equiv")]
    assert policy.startswith("default-src 'none'; script-src 'sha256-") and "unsafe-eval" not in policy and "connect-src" not in policy


def test_only_our_scripts_may_run():
    page = report(random_world())
    (policy,) = [found["content"] for t, found in Seen(page).tags if t == "meta" and found.get("http-equiv")]
    allowed = set(re.findall(r"'sha256-([^']+)'", policy))
    scripts = re.findall(r'<script type="module">(.*?)</script>', page, re.DOTALL)
    assert {base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in scripts} == allowed


needs_a_browser = pytest.mark.skipif(not shutil.which("chromium"), reason="needs chromium")
CHROMIUM = "chromium --headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync"


def browse(folder: Path, page: str) -> subprocess.CompletedProcess:
    """The page as a browser leaves it, and what it complained about."""
    (folder / "page.html").write_text(page, encoding="utf-8")
    more = [f"--user-data-dir={folder}/profile", "--virtual-time-budget=8000", "--enable-logging=stderr", "--window-size=1280,2000", "--dump-dom"]
    return subprocess.run([*CHROMIUM.split(), *more, f"file://{folder}/page.html"], capture_output=True, text=True, timeout=60)


def probed(page: str, probe: str) -> str:
    """The page without its policy, with a statement of ours behind its scripts."""
    open_page = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page)
    return open_page.replace('document.documentElement.dataset.ready = "yes";', probe)


@needs_a_browser
def test_a_browser_draws_every_chart_and_runs_nothing_hostile(tmp_path):
    page = report(hostile())
    done = browse(tmp_path, page)
    assert 'data-ready="yes"' in done.stdout
    assert done.stdout.count('class="marks"') == page.count('class="spec"') >= 6
    assert "Content Security Policy" not in done.stderr and "Uncaught" not in done.stderr


@needs_a_browser
def test_the_table_sorts_and_the_slider_counts(tmp_path):
    world = random_world()
    probe = """
        document.querySelectorAll("table.lfs thead button")[2].click();
        const slider = document.querySelector("#cut");
        slider.value = 60;
        slider.dispatchEvent(new Event("input"));
        document.body.dataset.first = document.querySelector("table.lfs tbody").rows[0].cells[0].dataset.value;
        document.body.dataset.said = document.querySelector("output").textContent;
    """
    done = browse(tmp_path, probed(report(world), probe))
    votes = {lf: sum(lf in v for v in world.votes.values()) for lf in world.names}
    kept = sum(world.label(e) is not None and max(world.p(e).values()) >= 0.6 for e in world.votes)
    assert re.search(r'data-first="([^"]*)"', done.stdout)[1] == max(votes, key=votes.get)
    assert f"≥ 60 %: {kept} labels stay" in re.search(r'data-said="([^"]*)"', done.stdout)[1]


@needs_a_browser
@pytest.mark.parametrize("name", ["hostile", "sixty LFs, six classes"])
def test_a_phone_scrolls_in_one_direction_only(tmp_path, name):
    page = report(hostile() if name == "hostile" else GAPS[name][0])
    probe = 'parent.postMessage(document.documentElement.scrollWidth - document.documentElement.clientWidth, "*");'
    (tmp_path / "phone.html").write_text(probed(page, probe), encoding="utf-8")
    frame = '<iframe src="phone.html" width="390" height="900" style="border: 0"></iframe><script>onmessage = (e) => { document.title = e.data; };</script>'
    assert "<title>0</title>" in browse(tmp_path, frame).stdout


# -- redaction ----------------------------------------------------------------------------------------------------------


def test_redaction_leaves_no_text():
    assert "secret1" in report(hostile())
    page = report(hostile(), redact=True)
    assert "secret" not in page and "characters, #" in page and "error[LF116]: the message may quote data and is left out" in page


def test_redacted_texts_can_be_found_again():
    text = "call me at home"
    page = report(World({1: {"a": "spam"}}, texts={1: text}), redact=True)
    assert f"{len(text)} characters, #{hashlib.sha256(text.encode()).hexdigest()[:8]}" in page


def test_gold_of_the_test_split_is_not_shown_per_row():
    votes = {1: {"a": "spam"}, 2: {"a": "spam"}}
    page = report(World(votes, splits={1: "test", 2: "train"}, gold={1: "ham", 2: "spam"}, texts={1: "hold me back", 2: "show me"}))
    assert "show me" in page and "hold me back" not in page


# -- SQL buttons --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [random_world, lambda: hostile('a "quoted" task\'s')], ids=["plain", "hostile"])
def test_every_sql_button_holds_the_query_as_it_was_run(make):
    world = make()
    store = store_of(world)
    found = queries(build_report(store, world.task))
    names = {sql.split(":")[0].removeprefix("-- ") for sql in found}
    assert len(names) == 19
    for sql in found:
        assert sql.startswith("-- report_") and not re.search(r"\$[a-z]", sql.split("\n", 5)[5])
        store.connection.execute(sql).fetchall()


# -- gaps ---------------------------------------------------------------------------------------------------------------

MANY = {e: {f"lf{n:02}": "abcdef"[(n + e) % 6] for n in range(60) if (e * 7 + n * 3) % 11 < 2} for e in range(80)}
GAPS = {
    "no gold": (
        World(random_world(1).votes, ("ham", "spam", "other")),
        ["There are no gold labels", "as the label model has learned it", "nobody can tell", "groundswell train"],
    ),
    "no end model": (random_world(2, with_model=False), ["No end model yet"]),
    "no labels": (
        World({1: {}, 2: {}}, lfs=["a"]),
        ["There are no labels yet", "No row has a vote", "never votes", "There are no votes yet", "No row of train or dev has a label yet"],
    ),
    "nothing": (World({}), ["Nothing is labelled yet", "There are none yet"]),
    "one LF": (World({1: {"a": "spam"}, 2: {}}, gold={1: "spam"}), ["Two labeling functions with votes are needed"]),
    "only broken": (World({1: {}}, broken={"a": "error[LF101]: no"}), ["cannot be evaluated", "broken"]),
    "sixty LFs, six classes": (World(MANY, tuple("abcdef"), gold={e: "abcdef"[e % 6] for e in range(40)}), ["lf59"]),
    "gold only on uncovered rows": (World({1: {}, 2: {"a": "spam"}}, gold={1: "spam"}), ["No row that has a vote has a gold label"]),
    "all ties": (World({e: {"a": "spam", "b": "ham"} for e in range(4)}, gold={1: "spam"}), ["a tie", "There are no labels yet"]),
}


@pytest.mark.parametrize("name", GAPS)
def test_a_gap_has_a_sentence_that_says_what_to_do(name):
    world, sentences = GAPS[name]
    page = report(world)
    Seen(page)
    for sentence in sentences:
        assert sentence in page, sentence
    ours = page.replace(charts_script(), "")
    assert not re.search(r">None<|None %|\bNone,|\bnan\b|NaN|Infinity", ours.replace('"interpolate":"lab"', ""))


def test_the_same_store_gives_the_same_bytes():
    first, second = (report(random_world(4)) for _ in range(2))
    assert first == second and len(first.encode()) < 1_400_000


def test_charts_are_valid_vega_lite():
    altair = pytest.importorskip("altair")
    specs = [json.loads(block) for block in re.findall(r'class="spec">(.*?)</script>', report(random_world(5)), re.DOTALL)]
    assert len(specs) == 6
    for spec in specs:
        (
            altair.Chart.from_dict(spec | {"width": 300}, validate=True)
            if "layer" not in spec
            else altair.LayerChart.from_dict(spec | {"width": 300}, validate=True)
        )


def test_every_class_has_a_colour_of_its_own_up_to_eight():
    css = re.search(r":root \{(.*?)\n\}", report(World({1: {"a": "spam"}})), re.DOTALL)[1]
    colours = re.findall(r"--c\d: (#[0-9a-f]{6})", css)
    assert len(set(colours)) == 8
