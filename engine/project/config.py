"""groundswell.toml -> Project, with positions and did-you-mean."""

from __future__ import annotations

import re
import tomllib
from datetime import date, datetime
from pathlib import Path
from typing import Any, Iterable
from zoneinfo import available_timezones

from ..errors import ConfigError, Location, did_you_mean
from ..types import GoldSource, Modality, Project, SplitRule, StudySource, Task

CONFIG_FILE = "groundswell.toml"

KEYS: dict[str, dict[str, type | tuple[type, ...]]] = {
    "project": {"name": str, "timezone": str, "memory_limit": str, "lf_timeout": (int, float)},
    "warehouse": {"from": str},
    "modality": {"from": str, "key": (str, list), "event_time": str},
    "task": {
        "classes": list,
        "gold": dict,
        "study": dict,
        "split": dict,
        "modalities": list,
        "label_model": dict,
        "end_model": dict,
    },
    "gold": {"from": str, "key": (str, list), "label": str},
    "study": {"from": str, "key": (str, list), "label": str, "optimum": str, "optimum_all": str},
    "split": {"column": str, "hash": list, "before": (str, date)},
}
REQUIRED = {"modality": ("from", "key"), "task": ("classes",), "gold": ("from", "key", "label"), "study": ("from", "key", "label"), "warehouse": ("from",)}
RESERVED_TASKS = {"gs", "main", "store", "warehouse", "memory", "temp", "system", "groundswell", "work", "information_schema", "pg_catalog"}
MEMORY = re.compile(r"\d+(\.\d+)?\s*([KMGT]i?B|%)", re.IGNORECASE)
TASK_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


def load_project(folder: str | Path) -> Project:
    """The validated project in `folder`.

    Raises ConfigError: CFG101 no file, CFG102 not TOML, CFG103 unknown key, CFG104 wrong type, CFG105 missing key,
    CFG106 a value that cannot be.
    """
    root = Path(folder).resolve()
    path = root / CONFIG_FILE
    if not path.is_file():
        raise ConfigError(
            "CFG101",
            f"no {CONFIG_FILE} in {root}",
            hint="run `groundswell init DB TABLE --key COLUMN` here, or name the folder with --project DIR",
        )
    return _Reader(path).project()


class _Reader:
    """Walks the parsed file and knows where each key stands."""

    def __init__(self, path: Path):
        self.path = path
        try:
            self.text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise ConfigError("CFG102", f"{path.name} is not UTF-8: byte {error.start}") from error
        try:
            self.data = tomllib.loads(self.text)
        except tomllib.TOMLDecodeError as error:
            raise self._syntax_error(error) from error

    def _syntax_error(self, error: tomllib.TOMLDecodeError) -> ConfigError:
        found = re.search(r"\(at line (\d+), column (\d+)\)", str(error))
        end = (self.text.count("\n") + 1, 1)
        line, column = (int(found[1]), int(found[2])) if found else end
        message = re.sub(r"\s*\(at .*\)$", "", str(error))
        return ConfigError("CFG102", f"not valid TOML: {message}", location=self._location(line, column))

    def project(self) -> Project:
        self._known((), self.data, ("project", "warehouse", "modality", "task"))
        project = self._section(("project",), "project")
        warehouse = self._section(("warehouse",), "warehouse", required=True)
        modalities = {name: self._modality(name) for name in self._names("modality")}
        tasks = {name: self._task(name, modalities) for name in self._names("task")}
        if twice := next((name for name in tasks if sum(name.casefold() == other.casefold() for other in tasks) > 1), None):
            raise self.error("CFG106", ("task", twice), f'two tasks are called "{twice}"', "schemas of a database know no case")
        timezone = project.get("timezone", "UTC")
        if timezone not in available_timezones():
            raise self.error(
                "CFG106",
                ("project", "timezone"),
                f'unknown time zone "{timezone}"',
                did_you_mean(timezone, available_timezones()),
            )
        memory_limit, lf_timeout = project.get("memory_limit", "2GB"), project.get("lf_timeout", 600)
        if not MEMORY.fullmatch(memory_limit):
            raise self.error("CFG106", ("project", "memory_limit"), f'"{memory_limit}" is not an amount of memory', 'e.g. "4GB"')
        if not lf_timeout > 0:
            raise self.error("CFG106", ("project", "lf_timeout"), "lf_timeout must be above 0", "seconds, e.g. 600")
        return Project(
            root=self.path.parent,
            name=project.get("name", self.path.parent.name),
            warehouse=warehouse["from"],
            modalities=modalities,
            tasks=tasks,
            timezone=timezone,
            memory_limit=memory_limit,
            lf_timeout=float(lf_timeout),
        )

    def _names(self, section: str) -> list[str]:
        found = self.data.get(section)
        if not isinstance(found, dict) or not found:
            raise ConfigError(
                "CFG105",
                f"{self.path.name} has no [{section}.NAME] block",
                hint=f"add one: [{section}.{'text' if section == 'modality' else 'my_task'}]",
                location=self._location(1, 1),
            )
        return list(found)

    def _modality(self, name: str) -> Modality:
        block = self._section(("modality", name), "modality", required=True)
        return Modality(name, block["from"], self._columns(("modality", name), block["key"]), block.get("event_time"))

    def _task(self, name: str, modalities: dict[str, Modality]) -> Task:
        at = ("task", name)
        if not TASK_NAME.fullmatch(name) or name.casefold() in RESERVED_TASKS:
            raise self.error("CFG106", at, f'"{name}" cannot name a task', "use letters, digits and _; not gs, main, store, warehouse")
        block = self._section(at, "task", required=True)
        used = tuple(block.get("modalities", modalities))
        if not used or len(used) > len({str(m) for m in used}):
            raise self.error("CFG106", (*at, "modalities"), "modalities must name every modality of the task once", f"e.g. [{', '.join(modalities)}]")
        for modality in used:
            if not isinstance(modality, str) or modality not in modalities:
                raise self.error(
                    "CFG106", (*at, "modalities"), f'no modality "{modality}"', did_you_mean(str(modality), modalities)
                )
        return Task(
            name=name,
            classes=self._classes((*at, "classes"), block["classes"]),
            modalities=used,
            gold=self._gold((*at, "gold")) if "gold" in block else None,
            study=self._study((*at, "study")) if "study" in block else None,
            split=self._split((*at, "split")) if "split" in block else SplitRule(),
            label_model=self._model((*at, "label_model"), block.get("label_model"), "auto"),
            end_model=self._model((*at, "end_model"), block.get("end_model"), "logistic"),
        )

    def _classes(self, at: tuple[str, ...], classes: list[Any]) -> tuple[str, ...]:
        if not all(isinstance(c, str) and c for c in classes):
            raise self.error("CFG104", at, "classes must be a list of names", 'write them as text: ["no", "yes"]')
        if marked := next((c for c in classes if c.startswith("!")), None):
            raise self.error("CFG106", at, f'a class cannot be called "{marked}"', 'in front of a class ! rules it out')
        if len(classes) < 2:
            raise self.error("CFG106", at, f"{len(classes)} class is not enough to tell anything apart", "name at least two")
        if len(set(classes)) < len(classes):
            raise self.error("CFG106", at, "a class is named twice", "every class once")
        return tuple(classes)

    def _gold(self, at: tuple[str, ...]) -> GoldSource:
        block = self._section(at, "gold", required=True)
        return GoldSource(block["from"], self._columns(at, block["key"]), block["label"])

    def _study(self, at: tuple[str, ...]) -> StudySource:
        block = self._section(at, "study", required=True)
        return StudySource(block["from"], self._columns(at, block["key"]), block["label"], block.get("optimum"), block.get("optimum_all"))

    def _columns(self, at: tuple[str, ...], key: str | list[Any]) -> tuple[str, ...]:
        columns = (key,) if isinstance(key, str) else tuple(key)
        if not columns or not all(isinstance(c, str) and c for c in columns) or len(set(columns)) < len(columns):
            raise self.error("CFG106", (*at, "key"), "key must name one column, or several once each", 'e.g. key = "ticket_id"')
        return columns

    def _split(self, at: tuple[str, ...]) -> SplitRule:
        block = self._section(at, "split")
        if len(block) != 1:
            raise self.error("CFG106", at, "split takes exactly one of column, hash, before", 'e.g. { hash = [80, 10, 10] }')
        if "column" in block:
            return SplitRule(column=block["column"])
        if "before" in block:
            return SplitRule(before=self._moment((*at, "before"), block["before"]))
        parts = block["hash"]
        if len(parts) != 3 or not all(type(p) is int and p >= 0 for p in parts) or sum(parts) != 100:
            raise self.error("CFG106", (*at, "hash"), f"hash = {parts} is not three percentages that sum to 100", "e.g. [80, 10, 10]")
        return SplitRule(hash=tuple(parts))

    def _moment(self, at: tuple[str, ...], value: Any) -> datetime:
        try:
            moment = value if isinstance(value, date) else datetime.fromisoformat(value)
        except ValueError:
            raise self.error("CFG106", at, f'"{value}" is not a date', 'e.g. "2026-01-01"') from None
        return moment if isinstance(moment, datetime) else datetime(moment.year, moment.month, moment.day)

    def _model(self, at: tuple[str, ...], block: dict[str, Any] | None, method: str) -> dict[str, Any]:
        options = {"method": method, "seed": 0} | (block or {})
        if not isinstance(options["method"], str):
            raise self.error("CFG104", (*at, "method"), "method must be a name", f'e.g. "{method}"')
        if type(options["seed"]) is not int:
            raise self.error("CFG104", (*at, "seed"), "seed must be a whole number", "e.g. 0")
        return options

    def _section(self, at: tuple[str, ...], kind: str, required: bool = False) -> dict[str, Any]:
        block: Any = self.data
        for part in at:
            block = block.get(part) if isinstance(block, dict) else None
        if block is None and required:
            raise ConfigError(
                "CFG105", f"{self.path.name} has no [{'.'.join(at)}] block", hint=f"add it with: {', '.join(REQUIRED[kind])}",
                location=self._location(1, 1),
            )
        if block is not None and not isinstance(block, dict):
            raise self.error("CFG104", at, f"{'.'.join(at)} must be a table", f"keys: {', '.join(KEYS[kind])}")
        self._known(at, block or {}, KEYS[kind])
        self._typed(at, block or {}, kind)
        return block or {}

    def _known(self, at: tuple[str, ...], block: dict[str, Any], known: Iterable[str]) -> None:
        for key in block:
            if key not in known:
                hint = did_you_mean(key, known) or f"known here: {', '.join(known)}"
                raise self.error("CFG103", (*at, key), f'unknown key "{key}"' + (f" in [{'.'.join(at)}]" if at else ""), hint)

    def _typed(self, at: tuple[str, ...], block: dict[str, Any], kind: str) -> None:
        for key, value in block.items():
            wanted = KEYS[kind][key]
            if not isinstance(value, wanted) or isinstance(value, bool):
                names = [t.__name__ for t in (wanted if isinstance(wanted, tuple) else (wanted,))]
                raise self.error("CFG104", (*at, key), f"{key} is {type(value).__name__}, expected {' or '.join(names)}", None)
        for key in REQUIRED.get(kind, ()):
            if key not in block:
                raise self.error("CFG105", at, f'[{".".join(at)}] needs "{key}"', f"keys: {', '.join(KEYS[kind])}")

    def error(self, code: str, at: tuple[str, ...], message: str, hint: str | None) -> ConfigError:
        return ConfigError(code, message, hint=hint, location=self.locate(at))

    def locate(self, at: tuple[str, ...]) -> Location:
        """Where a dotted key stands: its own line, or the line of the innermost block that can be found."""
        header, line = (), 0
        best = (0, 1, 1, 1)
        for line, text in enumerate(self.text.splitlines(), start=1):
            if found := re.match(r"\s*\[+\s*([^\]]+?)\s*\]+", text):
                header = tuple(p.strip().strip("\"'") for p in found[1].split("."))
                best = max(best, (_shared(header, at), line, found.start(1) + 1, len(found[1])), key=lambda b: b[0])
            elif at[: len(header)] == header:
                for key in re.finditer(r"([A-Za-z0-9_-]+|\"[^\"]*\")\s*=", text):
                    depth = len(header)
                    path = header + (key[1].strip('"'),)
                    if key.start() > len(text) - len(text.lstrip()):
                        path = header + (text.split("=")[0].strip(), key[1].strip('"'))
                    depth = len(path) if at[: len(path)] == path else depth
                    best = max(best, (depth, line, key.start() + 1, len(key[1])), key=lambda b: b[0])
        return self._location(max(best[1], 1), best[2], best[3])

    def _location(self, line: int, column: int, length: int = 1) -> Location:
        lines = self.text.splitlines()
        source = lines[line - 1] if 0 < line <= len(lines) else ""
        return Location(self.path.name, line, column, length, source)


def _shared(header: tuple[str, ...], at: tuple[str, ...]) -> int:
    return len(header) if at[: len(header)] == header else 0
