"""The use case that docs/how-to/add-a-use-case.md adds, in a copy of the packages. Imports neither orchestrator."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
PAGE = (CHECKOUT / "docs/how-to/add-a-use-case.md").read_text()


def copy_with_parcels(folder: Path, *packages: str) -> None:
    """These packages in the folder, and in them what the page adds to each."""
    for package in packages:
        shutil.copytree(CHECKOUT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    declaration, listed, dag = re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    (folder / "factory/use_cases/parcels.py").write_text(declaration)
    package = folder / "factory/use_cases/__init__.py"
    imported, named = listed.strip().split("\n\n")
    text = package.read_text().replace(
        "from factory.use_cases.products", f"{imported}\nfrom factory.use_cases.products"
    )
    [own] = re.findall(r"^ALL: .*$", text, re.MULTILINE)
    if named != f"{own.removesuffix(')')}, PARCELS)":
        raise ValueError(f"the page names other use cases than the package: {named}, beside {own}")
    package.write_text(text.replace(own, named))
    if "dags" in packages:
        [path] = re.findall(r"`(dags/\w+_dag\.py)`", PAGE)
        (folder / path).write_text(dag)
