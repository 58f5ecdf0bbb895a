"""The house rules: who may import whom, what import costs, codes, docstrings, SQL files, sizes."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from groundswell.codes import CODES

ROOT = Path(__file__).resolve().parent.parent
ENGINE, SQL = ROOT / "engine", ROOT / "sql"
MODULES = sorted(p for p in ENGINE.rglob("*.py"))

FLOORS = [
    {"codes", "intervals"},
    {"errors"},
    {"types"},
    {"store", "vision"},
    {"services"},
    {"project", "features", "lfs", "votes", "label_models", "end_models", "affinity", "propagation", "mining", "report"},
    {"state", "evaluation", "explanation", "export_surface", "fusing"},
    {"searching"},
    {"pipeline", "labelling", "training", "coding", "coding_map", "coding_page", "coding_study", "export", "export_dbt", "export_sql", "doctor"},
    {"predicting", "reviewing", "suggesting", "propagating"},
    {"curating", "monitoring"},
    {"studies"},
    {"workspace"},
    {"cli"},
]
"""From the cellar up; a room imports from floors below its own, never sideways between rooms and never upward."""
TOP = {"": 99, "__main__": 99}
NEIGHBOURS = {("pipeline", "labelling"), ("coding", "coding_map"), ("coding_page", "coding_map"), ("coding_page", "coding"), ("coding_study", "coding")}
"""The main job fits labels as one of its steps; a coding is named, and shown with its names."""


def room(path: Path) -> str:
    parts = path.relative_to(ENGINE).with_suffix("").parts
    return "" if parts == ("__init__",) else parts[0]


def floor(name: str) -> int:
    return TOP.get(name, next((i for i, rooms in enumerate(FLOORS) if name in rooms), -1))


def imported_rooms(path: Path) -> set[str]:
    """Rooms a module imports, inside functions too."""
    package = ["groundswell", *path.relative_to(ENGINE).parent.parts]
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            full = [*base, *(node.module or "").split(".")] if node.module else base
            names = [full + [alias.name] for alias in node.names] if len(full) == 1 else [full]
        elif isinstance(node, ast.Import):
            names = [alias.name.split(".") for alias in node.names]
        else:
            continue
        found |= {n[1] for n in names if n[0] == "groundswell" and len(n) > 1 and n[1] not in ("sql", "udfs", "__version__")}
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ENGINE)))
def test_no_module_imports_upward_or_sideways(path):
    here = room(path)
    assert floor(here) >= 0, f"{here} has no floor"
    for other in imported_rooms(path) - {here}:
        assert floor(other) < floor(here) or (here, other) in NEIGHBOURS, f"{here} imports {other}"


MAKES_A_WAREHOUSE = ENGINE / "cli" / "demo.py"
"""The demo plays the user who has a warehouse: it writes one."""


def test_only_the_store_opens_connections():
    for path in MODULES:
        if room(path) == "store" or path == MAKES_A_WAREHOUSE:
            continue
        calls = [n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Call) and isinstance(n.func, ast.Attribute)]
        opened = [n.lineno for n in calls if n.func.attr in ("connect", "sql", "query") and getattr(n.func.value, "id", "") == "duckdb"]
        assert not opened, f"{path.relative_to(ROOT)}:{opened}"


def fresh(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_importing_groundswell_is_fast_and_loads_nothing_heavy():
    code = "import time; t = time.perf_counter(); import groundswell, sys; print(time.perf_counter() - t, *(m for m in ('torch', 'ibis', 'duckdb', 'numpy', 'sqlglot', 'pyarrow') if m in sys.modules))"
    best = min((fresh(code).split() for _ in range(3)), key=lambda found: float(found[0]))
    assert float(best[0]) < 0.5
    assert best[1:] == []


def test_labelling_needs_no_torch():
    assert fresh("import groundswell.pipeline, groundswell.workspace, groundswell.cli, sys; print('torch' in sys.modules)") == "False"


def test_public_names_exist():
    import groundswell

    for name in groundswell.__all__:
        assert getattr(groundswell, name) is not None
    with pytest.raises(AttributeError):
        groundswell.nothing_like_this  # noqa: B018


CODE = re.compile(r"\b(?:CFG|LF|ST|LM|EM|FT|AF|PR|MN|SY)[12]\d\d\b")


def codes_used() -> set[str]:
    """Codes that a text in the engine begins with, outside docstrings and the list itself."""
    found = set()
    for path in MODULES:
        tree = ast.parse(path.read_text())
        aside = {id(k) for n in ast.walk(tree) if isinstance(n, ast.AnnAssign) and getattr(n.target, "id", "") == "CODES" for k in n.value.keys}
        aside |= {id(n.value) for n in ast.walk(tree) if isinstance(n, ast.Expr)}
        texts = [n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str) and id(n) not in aside]
        found |= {code for text in texts if (code := text.split(":")[0]) and CODE.fullmatch(code)}
    return found


def test_every_code_is_explained_and_every_explanation_is_used():
    assert codes_used() == set(CODES)


def test_codes_are_explained_in_one_line_each():
    for code, meaning in CODES.items():
        assert CODE.fullmatch(code)
        assert 10 < len(meaning) <= 100 and "\n" not in meaning and not meaning.endswith("."), code


def public(path: Path):
    """(name, node) of a module, its public functions and classes."""
    tree = ast.parse(path.read_text())
    yield path.stem, tree
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
            yield f"{path.stem}.{node.name}", node


def test_everything_public_has_a_docstring():
    missing = {name for path in MODULES for name, node in public(path) if not ast.get_docstring(node)}
    assert missing == set()


def test_no_file_is_longer_than_a_sitting():
    long = {str(p.relative_to(ROOT)): n for p in MODULES if (n := len(p.read_text().splitlines())) > 400}
    assert long == {}


HEADER = ("", "Reads ", "Output ", "Source ", "Invariants ")


@pytest.mark.parametrize("path", sorted(SQL.glob("*.sql")), ids=lambda p: p.stem)
def test_sql_files_say_what_they_are_and_parse(path):
    lines = path.read_text().splitlines()
    for line, word in zip(lines[:5], HEADER):
        assert line.startswith("-- " + word)
    assert lines[0].startswith((f"-- {path.stem}:", f"-- {path.stem}(")) and not lines[5].startswith("--")
    (statement,) = duckdb.connect().extract_statements(path.read_text())
    assert statement.type == duckdb.StatementType.SELECT


def test_no_sql_file_is_unused():
    text = "\n".join(p.read_text() for p in MODULES)
    assert [p.stem for p in SQL.glob("*.sql") if not re.search(rf'"{p.stem}"', text)] == []
