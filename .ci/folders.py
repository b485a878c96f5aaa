"""Refuses a folder of the package with more than 20 modules or 2,500 lines."""

import pathlib
import sys

MODULES, LINES = 20, 2500

package, problems = pathlib.Path(__file__).parent.parent / "kerassl", []
for folder in [package, *(path for path in package.rglob("*") if path.is_dir())]:
    modules = [path for path in folder.glob("*.py") if path.name != "__init__.py"]
    lines = sum(len(path.read_text(encoding="utf-8").splitlines()) for path in folder.glob("*.py"))
    if len(modules) > MODULES or lines > LINES:
        problems.append(f"{folder.relative_to(package.parent)}: {len(modules)} modules, {lines} lines")
if problems:
    print(f"a folder has at most {MODULES} modules and {LINES} lines; split:", *problems, sep="\n  ")
sys.exit(bool(problems))
