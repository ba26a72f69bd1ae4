"""The house rules, held by reading syntax trees: floors, declared effects, no swallowed exceptions, plain names.

Each rule is a function from a module's path and tree to what breaks it; each is shown to catch a planted violation.
"""

import ast
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.allowed_effects import ALLOWED, CONCURRENCY, EFFECTS, PURE

ROOT = Path(__file__).resolve().parents[1]
LINES_MAX = 450

FLOORS = {
    "core": {"core"},
    "store": {"core", "store"},
    "wire": {"core", "wire", "fair_semaphore"},
    "workers": {"core", "workers"},
    "api": {"core", "workers", "api", "fair_semaphore"},
    "daemon": {"core", "store", "wire", "workers", "api", "daemon"},
    "lab": {"core", "store", "wire", "workers", "api", "daemon", "lab"},
    "cli": {"core", "api", "daemon", "lab", "cli"},
}

ROOMS = {
    "scheduler": set(),
    "ends": {"scheduler"},
    "search": {"scheduler"},
    "explore": {"scheduler", "ends", "search"},
    "simulate": {"scheduler", "ends", "search", "explore"},
    "demo": {"scheduler", "ends", "explore"},
}
"""The rooms of the laboratory, and into which others each may look."""

NAMES_NOT_USED = re.compile(r"(?i)(manager|handler|helpers?|utils?|common|base|data|info|misc|process(or)?)")
LAST_WORD = re.compile(r"(?:[A-Z]?[a-z0-9]+|[A-Z]+)$")
MACHINE = re.compile(r"(?<![\w.$}])/(work|root|home)/")
LATER = re.compile(r"\b(TODO|FIXME|XXX)\b")

Rule = Callable[[str, ast.Module], Iterator[tuple[int, str]]]


def package_of(path: str) -> str:
    """Return the package of a module's path, "" for the modules above them all."""
    inside = path.split("/")
    return inside[1] if inside[0] == "dnsguard" and len(inside) > 2 else ""


def imports(tree: ast.Module) -> Iterator[tuple[int, str, str]]:
    """Yield every import of a module as line, name in this module, full name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                bound = alias.asname or alias.name.partition(".")[0]
                yield node.lineno, bound, alias.name if alias.asname else bound
                if not alias.asname and bound != alias.name:
                    yield node.lineno, alias.name, alias.name
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                yield node.lineno, alias.asname or alias.name, f"{'.' * node.level}{node.module or ''}.{alias.name}"


def dotted(node: ast.AST) -> str | None:
    """Return a.b.c for an attribute chain that starts at a name."""
    if isinstance(node, ast.Attribute):
        start = dotted(node.value)
        return f"{start}.{node.attr}" if start else None
    return node.id if isinstance(node, ast.Name) else None


def floors(path: str, tree: ast.Module) -> Iterator[tuple[int, str]]:
    if (package := package_of(path)) not in FLOORS:
        return
    for line, _, full in imports(tree):
        if full.startswith("."):
            yield line, f"expected an absolute import, found {full}"
        parts = full.split(".")
        if parts[0] == "dnsguard" and len(parts) > 2 and parts[1] not in FLOORS[package]:
            yield line, f"{package} may import {', '.join(sorted(FLOORS[package]))}; found {full}"
        if parts[0] == "dnsguard" and len(parts) == 2 and parts[1] in FLOORS and parts[1] not in FLOORS[package]:
            yield line, f"{package} may import {', '.join(sorted(FLOORS[package]))}; found {full}"


def rooms(path: str, tree: ast.Module) -> Iterator[tuple[int, str]]:
    inside = path.split("/")
    if inside[:2] != ["dnsguard", "lab"] or len(inside) < 4:
        return
    room = inside[2]
    for line, _, full in imports(tree):
        parts = full.split(".")
        if parts[:2] == ["dnsguard", "lab"] and len(parts) > 2 and parts[2] not in {room, *ROOMS[room]}:
            yield line, f"{room} may look into {', '.join(sorted(ROOMS[room])) or 'no other room'}; found {full}"


def touched(tree: ast.Module) -> Iterator[tuple[int, str, str]]:
    """Yield every use of an effect as line, what was found, which effect; once for each."""
    yield from dict.fromkeys(sorted(uses(tree)))


def uses(tree: ast.Module) -> Iterator[tuple[int, str, str]]:
    bound = {name: full for _, name, full in imports(tree)}
    for line, _, full in imports(tree):
        for effect in (*EFFECTS, *CONCURRENCY):
            if full == effect or full.startswith(effect + "."):
                yield line, full, effect
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and isinstance(node.func.value, ast.Call)
        ):
            inner = dotted(node.func.value.func) or ""
            if inner.endswith(("get_running_loop", "get_event_loop")):
                yield node.lineno, f"{inner}().{node.func.attr}", f"loop.{node.func.attr}"
        name = dotted(node)
        if name is None:
            continue
        head, _, rest = name.partition(".")
        full = bound.get(head, head) + ("." + rest if rest else "")
        for effect in (*EFFECTS, *CONCURRENCY):
            in_builtins = "." not in effect and effect not in bound.values() and full == effect
            imported = head in bound and (full == effect or full.startswith(effect + "."))
            a_loop = effect.startswith("loop.") and name.endswith(effect)
            if (in_builtins and effect in {"open", "input", "print"}) or imported or a_loop:
                yield getattr(node, "lineno", 0), full, effect


def effects(path: str, tree: ast.Module) -> Iterator[tuple[int, str]]:
    package = package_of(path)
    if package not in {*PURE, "store", "wire"}:
        return
    allowed = {effect for place, effect in ALLOWED if path.startswith(place)}
    if package not in PURE:
        allowed.update(CONCURRENCY)
    for line, found, effect in touched(tree):
        if effect not in allowed:
            yield line, f"{package} may not touch the world but through its protocols; found {found}"


def swallowed(path: str, tree: ast.Module) -> Iterator[tuple[int, str]]:
    del path
    wide = {"Exception", "BaseException"}
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler):
            caught = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
            silent = all(
                isinstance(each, ast.Pass | ast.Continue | ast.Break)
                or (isinstance(each, ast.Expr) and isinstance(each.value, ast.Constant))
                for each in node.body
            )
            if silent and any(each is None or (dotted(each) or "").split(".")[-1] in wide for each in caught):
                yield node.lineno, "an exception of any kind is swallowed"
        elif (
            isinstance(node, ast.Call)
            and (dotted(node.func) or "").split(".")[-1] == "suppress"
            and any((dotted(each) or "").split(".")[-1] in wide for each in node.args)
        ):
            yield node.lineno, "an exception of any kind is suppressed"


def printing(path: str, tree: ast.Module) -> Iterator[tuple[int, str]]:
    if package_of(path) == "cli":
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and dotted(node.func) == "print":
            yield node.lineno, "only the command line prints"


def modes(path: str, tree: ast.Module) -> Iterator[tuple[int, str]]:
    if package_of(path) not in {"core", "store", "wire", "workers"}:
        return
    tests = [node.test for node in ast.walk(tree) if isinstance(node, ast.If | ast.IfExp | ast.While | ast.Assert)] + [
        each for node in ast.walk(tree) if isinstance(node, ast.comprehension) for each in node.ifs
    ]
    tests += [node.subject for node in ast.walk(tree) if isinstance(node, ast.Match)]
    for test in tests:
        for node in ast.walk(test):
            word = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
            if word.lower() in {"guarded", "unguarded", "is_guarded", "mode"}:
                yield getattr(node, "lineno", 0), f"nobody below the list of guards knows the mode; found {word}"


def documented(path: str, tree: ast.Module) -> Iterator[tuple[int, str]]:
    del path
    if not ast.get_docstring(tree):
        yield 1, "a module begins with a docstring: what it is for, and what never happens in it"


def not_used(name: str) -> bool:
    """Tell whether a name's last word says nothing: PlanManager and plan_manager do, Database does not."""
    last = LAST_WORD.search(name)
    return last is not None and NAMES_NOT_USED.fullmatch(last[0]) is not None


def named(path: str, tree: ast.Module) -> Iterator[tuple[int, str]]:
    if any(not_used(part) for part in Path(path).with_suffix("").parts):
        yield 1, f"a module is named for what it holds; found {path}"
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and not_used(node.name):
            yield node.lineno, f"a class is named for what it is; found {node.name}"


def sleeping(path: str, tree: ast.Module) -> Iterator[tuple[int, str]]:
    if not path.startswith("tests/"):
        return
    bound = {name: full for _, name, full in imports(tree)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and (name := dotted(node.func)):
            head, _, rest = name.partition(".")
            full = bound.get(head, head) + ("." + rest if rest else "")
            if full in {"time.sleep", "asyncio.sleep"}:
                yield node.lineno, f"a test waits for what it means, never for time to pass; found {full}"


def tracked() -> list[str]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode == 0:
        return sorted(path for path in listed.stdout.split("\0") if path and (ROOT / path).is_file())
    places = (ROOT / place for place in ("dnsguard", "tests", "migrations", "deploy"))
    return sorted(str(path.relative_to(ROOT)) for place in places for path in place.rglob("*.*") if path.is_file())


FILES = tracked()
MODULES = [path for path in FILES if path.endswith(".py") and path.startswith(("dnsguard/", "tests/", "migrations/"))]
TREES = {path: ast.parse((ROOT / path).read_text("utf-8"), path) for path in MODULES}
OURS = [path for path in MODULES if path.startswith("dnsguard/")]


def broken(rule: Rule, paths: list[str]) -> list[str]:
    return [f"{path}:{line}: {said}" for path in paths for line, said in rule(path, TREES[path])]


def none(found: list[str]) -> None:
    assert not found, "\n" + "\n".join(found)


def test_imports_go_down_only() -> None:
    none(broken(floors, OURS))
    none(broken(rooms, OURS))


def test_every_room_of_the_laboratory_has_its_place() -> None:
    found = {path.split("/")[2] for path in OURS if path.startswith("dnsguard/lab/") and path.count("/") > 2}
    assert found == ROOMS.keys()


def test_the_world_is_touched_only_where_it_is_declared() -> None:
    none(broken(effects, OURS))


def test_every_allowed_effect_is_used_where_it_is_allowed() -> None:
    used = {(path, effect) for path in OURS for _, _, effect in touched(TREES[path])}
    none(
        [
            f"{place}: {effect}"
            for place, effect in ALLOWED
            if not any(p.startswith(place) and e == effect for p, e in used)
        ]
    )


def test_no_exception_is_swallowed() -> None:
    none(broken(swallowed, OURS))


def test_only_the_command_line_prints() -> None:
    none(broken(printing, OURS))


def test_nobody_below_the_guards_asks_for_the_mode() -> None:
    none(broken(modes, OURS))


def test_every_module_says_what_it_is_for() -> None:
    none(broken(documented, OURS))


def test_modules_and_classes_are_named_for_what_they_are() -> None:
    none(broken(named, OURS))


def test_no_test_sleeps() -> None:
    # Under the simulated loop of tests/lab time is virtual: nothing waits there.
    none(broken(sleeping, [path for path in MODULES if not path.startswith("tests/lab/")]))


def test_every_file_fits_a_readers_head() -> None:
    long = [(path, (ROOT / path).read_text("utf-8").count("\n")) for path in MODULES]
    none([f"{path}:{LINES_MAX}: {lines} lines" for path, lines in long if lines > LINES_MAX])


def lines_with(pattern: re.Pattern[str], path: str, text: str) -> list[str]:
    return [f"{path}:{n}: {line.strip()[:120]}" for n, line in enumerate(text.splitlines(), 1) if pattern.search(line)]


def texts() -> Iterator[tuple[str, str]]:
    for path in FILES:
        octets = (ROOT / path).read_bytes()
        if path != "tests/test_house_rules.py" and b"\0" not in octets:
            yield path, octets.decode("utf-8", "replace")


def test_no_file_names_a_place_on_one_machine() -> None:
    none([found for path, text in texts() for found in lines_with(MACHINE, path, text)])


def test_nothing_is_left_for_later() -> None:
    none([found for path, text in texts() for found in lines_with(LATER, path, text)])


@pytest.mark.parametrize(
    ("rule", "path", "source"),
    [
        (floors, "dnsguard/core/x.py", "from dnsguard.store.sql import S"),
        (rooms, "dnsguard/lab/ends/x.py", "from dnsguard.lab.explore.watch import Watch"),
        (rooms, "dnsguard/lab/search/x.py", "from dnsguard.lab import demo"),
        (floors, "dnsguard/core/x.py", "import dnsguard.wire.publisher"),
        (floors, "dnsguard/core/x.py", "from dnsguard import workers"),
        (floors, "dnsguard/store/x.py", "from dnsguard.wire import encode"),
        (floors, "dnsguard/wire/x.py", "from dnsguard.store import rows"),
        (floors, "dnsguard/workers/x.py", "def f():\n    from dnsguard.wire.publisher import P"),
        (floors, "dnsguard/api/x.py", "from dnsguard.daemon.desk import D"),
        (floors, "dnsguard/cli/x.py", "from dnsguard.store.sql import S"),
        (floors, "dnsguard/wire/x.py", "from . import encode"),
        (effects, "dnsguard/core/x.py", "import time"),
        (effects, "dnsguard/core/x.py", "from time import time as now"),
        (effects, "dnsguard/workers/x.py", "import asyncio as a\nasync def f():\n    await a.sleep(1)"),
        (effects, "dnsguard/workers/x.py", "from asyncio import timeout as t\nt(1)"),
        (effects, "dnsguard/workers/x.py", "from datetime import datetime as d\nd.now()"),
        (effects, "dnsguard/workers/x.py", "import datetime\ndatetime.datetime.utcnow()"),
        (effects, "dnsguard/core/x.py", "open('x')"),
        (effects, "dnsguard/core/x.py", "from pathlib import Path"),
        (effects, "dnsguard/core/x.py", "import os\nos.urandom(4)"),
        (effects, "dnsguard/core/x.py", "import random"),
        (effects, "dnsguard/store/x.py", "import uuid"),
        (effects, "dnsguard/wire/x.py", "import asyncio\nasyncio.get_running_loop().call_later(1, f)"),
        (effects, "dnsguard/wire/x.py", "def f(loop):\n    loop.call_later(1, f)"),
        (effects, "dnsguard/wire/x.py", "def f(self):\n    self.loop.time()"),
        (swallowed, "dnsguard/api/x.py", "try:\n    f()\nexcept Exception:\n    pass"),
        (swallowed, "dnsguard/api/x.py", "try:\n    f()\nexcept:\n    ..."),
        (swallowed, "dnsguard/api/x.py", "try:\n    f()\nexcept (ValueError, BaseException):\n    pass"),
        (swallowed, "dnsguard/api/x.py", "import contextlib\nwith contextlib.suppress(Exception):\n    f()"),
        (printing, "dnsguard/daemon/x.py", "print('x')"),
        (modes, "dnsguard/workers/x.py", "if self.guarded:\n    f()"),
        (modes, "dnsguard/core/x.py", "x = 1 if mode == 'guarded' else 2"),
        (modes, "dnsguard/core/x.py", "match mode:\n    case 1:\n        f()"),
        (modes, "dnsguard/wire/x.py", "[x for x in y if GUARDED is z]"),
        (documented, "dnsguard/api/x.py", "import re"),
        (named, "dnsguard/api/plan_manager.py", ""),
        (named, "dnsguard/utils/x.py", ""),
        (named, "dnsguard/api/x.py", "class PlanHandler: ..."),
        (named, "dnsguard/api/x.py", "class ZoneInfo: ..."),
        (sleeping, "tests/x.py", "import asyncio\nasync def f():\n    await asyncio.sleep(0)"),
        (sleeping, "tests/x.py", "from time import sleep as s\ns(1)"),
    ],
)  # fmt: skip
def test_a_planted_violation_is_caught(rule: Rule, path: str, source: str) -> None:
    assert list(rule(path, ast.parse(source)))


@pytest.mark.parametrize(
    ("rule", "path", "source"),
    [
        (floors, "dnsguard/daemon/x.py", "from dnsguard.store.sql import S\nfrom dnsguard import __version__"),
        (effects, "dnsguard/workers/x.py", "async def f(self):\n    return self.clock.now()"),
        (effects, "dnsguard/core/x.py", "import datetime\ndef f(at: datetime.datetime): ..."),
        (effects, "dnsguard/core/x.py", "def f(open): ...\ntime = 1"),
        (effects, "dnsguard/wire/x.py", "import asyncio\nlock = asyncio.Lock()"),
        (swallowed, "dnsguard/api/x.py", "try:\n    f()\nexcept ValueError:\n    pass"),
        (swallowed, "dnsguard/api/x.py", "try:\n    f()\nexcept Exception as e:\n    log(e)"),
        (modes, "dnsguard/daemon/x.py", "if guarded:\n    f()"),
        (named, "dnsguard/api/x.py", "class Database: ..."),
        (documented, "dnsguard/api/x.py", '"""What it is for."""'),
        (sleeping, "dnsguard/daemon/x.py", "import asyncio\nasyncio.sleep(1)"),
    ],
)
def test_what_is_right_is_let_through(rule: Rule, path: str, source: str) -> None:
    assert not list(rule(path, ast.parse(source)))


def test_places_and_leftovers_are_found_in_any_text() -> None:
    assert lines_with(MACHINE, "x", "see " + "/ho" + "me/me/x")
    assert lines_with(MACHINE, "x", "'/wo" + "rk/x'")
    assert not lines_with(MACHINE, "x", "https://a.example/wo" + "rk/x and ./wo" + "rk/")
    assert lines_with(LATER, "x", "# TO" + "DO: later")
    assert not lines_with(LATER, "x", "TODOS")
