"""A sample database, to try questions out: machines, their maintenance, and what was done. All of it is invented.

The same seed gives the same machines. All dates are relative to the day on which it is made: 15 machines are due for
maintenance in the month of that day.
"""

import secrets
import sqlite3
from calendar import monthrange
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from pathlib import Path
from random import Random
from typing import Any

from datasources.questions.suggestions import KnownSuggestions, Suggestion
from utils.data_files import load_json

DUE_THIS_MONTH = 15
SAMPLE_FILE = "sample-maintenance.db"
SAMPLE_QUESTIONS: KnownSuggestions = {
    language: [Suggestion(**each) for each in written]
    for language, written in load_json("datasources", "sample_questions.json").items()
}
_SEED = 7
_MACHINES, _CYCLES, _CYCLE_DAYS = 60, 240, 540
_OTHER_MONTHS = (-1, 1, 2, 3, 4, 5)  # of the machines that are not due now
_TYPES = ("Pump", "Motor", "Valve", "Compressor", "Conveyor", "Fan")
_STATUSES = ("Active",) * 8 + ("Maintenance", "Stopped")
_LOCATIONS = ("North Hall", "South Hall", "Harbour", "Workshop")
_SYSTEMS: dict[str, dict[str, tuple[str, ...]]] = {
    "Engine": {"Coolant": ("Radiator", "Coolant Pump"), "Fuel": ("Injector", "Fuel Filter")},
    "Drive": {"Gearbox": ("Bearing", "Shaft"), "Belt": ("Belt", "Tensioner")},
    "Hydraulics": {"Pressure": ("Hose", "Seal"), "Cylinders": ("Piston",)},
    "Electrics": {"Control": ("Sensor", "Relay"), "Supply": ("Cable", "Fuse")},
}
_JOB_TYPES = ("Inspection", "Replacement", "Repair", "Cleaning", "Lubrication", "Adjustment")
_TABLES = """
CREATE TABLE equipment (
  id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, type TEXT NOT NULL, status TEXT NOT NULL, location TEXT NOT NULL,
  unit_id TEXT NOT NULL UNIQUE, operating_hours INTEGER NOT NULL, last_maintenance DATE NOT NULL,
  next_maintenance DATE NOT NULL);
CREATE INDEX idx_equipment_status ON equipment (status);
CREATE INDEX idx_equipment_maintenance_date ON equipment (next_maintenance);
CREATE TABLE maintenance_cycle (
  cycle_id INTEGER PRIMARY KEY, equipment_id INTEGER NOT NULL REFERENCES equipment (id), start_time DATETIME NOT NULL,
  end_time DATETIME NOT NULL, downtime_minutes INTEGER NOT NULL, planning TEXT NOT NULL, severity TEXT NOT NULL);
CREATE TABLE system (system_id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE subsystem (
  subsystem_id INTEGER PRIMARY KEY, name TEXT NOT NULL, system_id INTEGER NOT NULL REFERENCES system (system_id),
  UNIQUE (system_id, name));
CREATE TABLE component (
  component_id INTEGER PRIMARY KEY, name TEXT NOT NULL,
  subsystem_id INTEGER NOT NULL REFERENCES subsystem (subsystem_id));
CREATE TABLE maintenance_cycle_system (
  cycle_id INTEGER NOT NULL REFERENCES maintenance_cycle (cycle_id),
  system_id INTEGER NOT NULL REFERENCES system (system_id), PRIMARY KEY (cycle_id, system_id));
CREATE TABLE job (
  job_id INTEGER PRIMARY KEY, job_type TEXT NOT NULL, comment TEXT NOT NULL, done_on DATE NOT NULL,
  cycle_id INTEGER NOT NULL REFERENCES maintenance_cycle (cycle_id),
  component_id INTEGER NOT NULL REFERENCES component (component_id));
"""
Row = tuple[Any, ...]


@dataclass(slots=True)
class _Parts:
    """What machines consist of; `by_system` are the ids and names of the components of each system."""

    system: list[Row] = field(default_factory=list)
    subsystem: list[Row] = field(default_factory=list)
    component: list[Row] = field(default_factory=list)
    by_system: dict[int, list[tuple[int, str]]] = field(default_factory=dict)


def write_database(file: Path, today: date, *, mark: int = 0) -> bool:
    """Make the database of *today* at *file*, whose folder is there. False if it is there already.

    *mark* is kept in the file for whoever made it, see `read_mark`.
    """
    if _read_pragma(file, "user_version") == today.toordinal() and read_mark(file) == mark:
        return False
    own = file.with_name(f".{file.name}-{secrets.token_hex(8)}")
    with closing(sqlite3.connect(own)) as connection:
        connection.executescript(f"PRAGMA synchronous = OFF; {_TABLES}")
        for table, rows in _make_tables(today).items():
            marks = ", ".join("?" * len(rows[0]))
            connection.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)  # noqa: S608 - names of ours
        connection.commit()
        connection.executescript(f"PRAGMA user_version = {today.toordinal()}; PRAGMA application_id = {mark}; ANALYZE")
    own.replace(file)  # whoever reads the former one goes on with it
    return True


def read_mark(file: Path) -> int | None:
    """The mark that `write_database` has put into *file*; None where there is none."""
    return _read_pragma(file, "application_id")


def load_tables() -> dict[str, Any]:
    """What may be read of it, with descriptions and synonyms in three languages, as `allowed_tables` has it."""
    written = load_json("datasources", "sample_maintenance.json")
    return {
        table: {
            "description": entry["description"],
            "synonyms": entry["synonyms"],
            "row_filter": "",
            "allowed_columns": {
                name: {"description": description, "synonyms": synonyms}
                for name, (description, *synonyms) in entry["columns"].items()
            },
        }
        for table, entry in written.items()
    }


def _read_pragma(file: Path, name: str) -> int | None:
    if not file.is_file():
        return None
    try:
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            return int(connection.execute(f"PRAGMA {name}").fetchone()[0])
    except sqlite3.Error:
        return None


def _make_tables(today: date) -> dict[str, Sequence[Row]]:
    random = Random(_SEED)  # noqa: S311 - invented data, no secret
    parts = _make_parts()
    machines = list(_make_machines(random, today))
    cycles = list(_make_cycles(random, today))
    links, jobs = list[Row](), list[Row]()
    for cycle_id, _, start, *_ in cycles:
        systems = sorted(random.sample(sorted(parts.by_system), random.choice((1, 1, 2))))
        links += [(cycle_id, system_id) for system_id in systems]
        for system_id in systems:
            component_id, component = random.choice(parts.by_system[system_id])
            job_type = random.choice(_JOB_TYPES)
            jobs.append((len(jobs) + 1, job_type, f"{job_type}: {component}", start[:10], cycle_id, component_id))
    return {
        "equipment": machines,
        "maintenance_cycle": cycles,
        "system": parts.system,
        "subsystem": parts.subsystem,
        "component": parts.component,
        "maintenance_cycle_system": links,
        "job": jobs,
    }


def _make_parts() -> _Parts:
    parts = _Parts()
    for system_id, (system, subsystems) in enumerate(_SYSTEMS.items(), 1):
        parts.system.append((system_id, system))
        parts.by_system[system_id] = []
        for subsystem, components in subsystems.items():
            subsystem_id = len(parts.subsystem) + 1
            parts.subsystem.append((subsystem_id, subsystem, system_id))
            for component in components:
                component_id = len(parts.component) + 1
                parts.component.append((component_id, component, subsystem_id))
                parts.by_system[system_id].append((component_id, component))
    return parts


def _make_machines(random: Random, today: date) -> Iterator[Row]:
    months = [0] * DUE_THIS_MONTH + [random.choice(_OTHER_MONTHS) for _ in range(_MACHINES - DUE_THIS_MONTH)]
    random.shuffle(months)
    for number, month in enumerate(months, 1):
        kind = _TYPES[(number - 1) % len(_TYPES)]
        day = _choose_day(random, today, month)
        done = min(day - timedelta(days=180), today - timedelta(days=random.randint(1, 30)))
        yield (
            number,
            f"{kind} {chr(ord('A') + (number - 1) % 26)}{number}",
            kind,
            random.choice(_STATUSES),
            random.choice(_LOCATIONS),
            f"T_{number:02}",
            random.randint(500, 20_000),
            done.isoformat(),
            day.isoformat(),
        )


def _choose_day(random: Random, today: date, months_on: int) -> date:
    years, month = divmod(today.month - 1 + months_on, 12)
    year = today.year + years
    return date(year, month + 1, random.randint(1, monthrange(year, month + 1)[1]))


def _make_cycles(random: Random, today: date) -> Iterator[Row]:
    for number in range(1, _CYCLES + 1):
        is_planned = random.random() < 0.7
        minutes = random.randint(30, 480) if is_planned else random.randint(120, 2_880)
        day = today - timedelta(days=random.randint(3, _CYCLE_DAYS))
        start = datetime.combine(day, time(random.randint(6, 20), random.choice((0, 15, 30, 45))))
        yield (
            number,
            random.randint(1, _MACHINES),
            start.isoformat(" "),
            (start + timedelta(minutes=minutes)).isoformat(" "),
            minutes,
            "Scheduled" if is_planned else "Unscheduled",
            "Critical" if random.random() < (0.05 if is_planned else 0.4) else "Routine",
        )
