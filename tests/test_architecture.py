"""Who may import whom: a breach is a failing test that names the file."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("course", "integration", "webhooks", "web", "sandbox")
OURS = {*PACKAGES, *(path.stem for path in ROOT.glob("*.py")), "tests"}

MAY_IMPORT = {
    "course": {"course"},
    "integration": {"integration", "course"},
    "webhooks": {"webhooks", "course", "integration.provider"},
    "web": {
        *("web", "course"),
        *("integration.scheduling", "integration.provider", "integration.teams_signin"),
    },
    "sandbox": {"sandbox"},
}
# Third-party libraries that belong to certain files only.
KEPT_TO = {
    "flask": ("doors.py", "service.py", "web/", "sandbox/"),
    "zoomus": ("integration/zoom",),
    "msal": ("integration/teams",),
    "sqlalchemy": ("course/store/",),
    "alembic": ("course/store/",),
    "dbos": ("integration/",),
    "requests": ("integration/", "sandbox/", "cli_opening.py", "demo.py"),
    "granian": ("server.py",),
}
# The core is pure: nothing but the standard library outside its store, with one exception.
CORE_MAY_USE = {
    "course/identity.py": {"rapidfuzz", "nicknames"},
    "course/calendar_file.py": {"icalendar"},
}


def sources() -> list[Path]:
    found = [p for package in PACKAGES for p in (ROOT / package).rglob("*.py")]
    return sorted(found + list(ROOT.glob("*.py")))


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imports(path: Path) -> list[tuple[str, ast.AST]]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found: list[tuple[str, ast.AST]] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(alias.name, node) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{name_of(path)} uses a relative import"
            # `from integration import provider` names the module in its last part
            found += [(f"{node.module}.{alias.name}", node) for alias in node.names]
    return found


def allowed(module: str, rules: set[str]) -> bool:
    return any(module == rule or module.startswith(f"{rule}.") for rule in rules)


@pytest.mark.parametrize("path", sources(), ids=name_of)
def test_a_file_imports_only_what_its_package_may(path: Path) -> None:
    package = name_of(path).split("/")[0]
    for module, _ in imports(path):
        top = module.split(".")[0]
        if top in OURS and package in MAY_IMPORT:
            assert allowed(module, MAY_IMPORT[package]), f"{name_of(path)} imports {module}"
        assert top != "app" or name_of(path) in {"cli_processes.py", "doctor.py"}, (
            f"{name_of(path)} imports app, which only the commands may"
        )
        if top in KEPT_TO:
            assert name_of(path).startswith(KEPT_TO[top]), f"{name_of(path)} imports {top}"


@pytest.mark.parametrize(
    "path",
    [p for p in sources() if name_of(p).startswith("course/") and "/store/" not in name_of(p)],
    ids=name_of,
)
def test_the_core_is_pure(path: Path) -> None:
    for module, _ in imports(path):
        top = module.split(".")[0]
        known = top in sys.stdlib_module_names or top == "course"
        assert known or top in CORE_MAY_USE.get(name_of(path), set()), (
            f"{name_of(path)} imports {module}"
        )
        assert not module.startswith("course.store"), f"{name_of(path)} reads the store"


@pytest.mark.parametrize("path", sources(), ids=name_of)
def test_only_the_settings_read_the_environment(path: Path) -> None:
    # The demonstration hands an environment to the processes that it starts.
    if name_of(path) in {"settings.py", "demo.py"}:
        return
    text = path.read_text(encoding="utf-8")
    assert "os.environ" not in text
    assert "getenv" not in text


@pytest.mark.parametrize("path", sources(), ids=name_of)
def test_nothing_is_imported_inside_a_function(path: Path) -> None:
    if name_of(path).startswith("cli"):  # `--help` must not wait for every library
        return
    tree = ast.parse(path.read_text(encoding="utf-8"))
    inside = {
        node.lineno
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    assert not inside, f"{name_of(path)} imports inside a function, line {min(inside, default=0)}"


@pytest.mark.parametrize("path", sources(), ids=name_of)
def test_every_file_says_first_what_it_is_for(path: Path) -> None:
    if path.name == "__init__.py" and not path.read_text(encoding="utf-8").strip():
        return
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))), name_of(path)


def test_only_the_app_names_the_concrete_providers() -> None:
    naming = {
        name_of(path)
        for path in sources()
        for module, _ in imports(path)
        if module.endswith((".ZoomProvider", ".TeamsProvider"))
    }
    assert naming == {"app.py"}
