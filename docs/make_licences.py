"""Write docs/licences.md: python docs/make_licences.py.

Enters: pyproject.toml, the metadata of the packages that are installed here, and the data sets of
MODEL_CARD.md. Leaves: a table of licences, one row a package, by what needs it.
"""

import re
import tomllib
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "licences.md"
GROUPS = {
    "run": "to encode and decode",
    "bench": "`npeg bench`",
    "enhance": "`npeg enhance`, its classical methods",
    "train": "`npeg train` and `npeg export`",
    "rivals": "more codecs in the bench",
    "vmaf": "a measure of the bench",
    "lpips": "a measure of the bench",
    "jxl": "a codec of the bench",
    "dask": "work on several machines",
    "formats": "HEIC, JPEG XL and raw files",
    "remote": "files that are elsewhere",
    "dev": "tests",
}
HEAD = """# Licences of what npeg needs, and of the data its networks saw

npeg is under the MIT licence. Nothing of the packages below is copied into it: `pip` installs them
beside it, and only the first group is needed to encode and decode. Names and licences are what the
packages say of themselves, in the versions that the tests ran with; a wheel may bring libraries
under licences of their own, such as the program FFmpeg in imageio-ffmpeg. The browser's codec runs
on onnxruntime-web (MIT). `python docs/make_licences.py` makes this page;
`tests/test_supply_chain.py` holds that no package is missing.
"""


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")


def page() -> str:
    """Return the text of the page."""
    lines, seen = [HEAD, "## Packages\n", "| package | version | licence | needed by |"], set()
    lines.append("|---|---|---|---|")
    for group, purpose in GROUPS.items():
        for name in sorted(closure(direct(group))):
            if name not in seen:
                seen.add(name)
                lines.append(f"| {name} | {version(name)} | {licence(name)} | {purpose} |")
    lines.append(
        "\n## Data\n\nWhat each set was used for is in [MODEL_CARD.md](../MODEL_CARD.md#data).\n"
    )
    return "\n".join([*lines, *data_sets(), ""])


def direct(group: str) -> list[Requirement]:
    """Return the requirements of the package itself ("run") or of one of its extras."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras: dict[str, list[str]] = project["optional-dependencies"]
    return [Requirement(r) for r in (project["dependencies"] if group == "run" else extras[group])]


def closure(wanted: list[Requirement]) -> set[str]:
    """Return the names of what requirements need, themselves included, on this machine."""
    names: set[str] = set()
    todo = [(canonicalize_name(r.name), frozenset(r.extras)) for r in wanted]
    done = set()
    while todo:
        name, extras = item = todo.pop()
        if item in done:
            continue
        done.add(item)
        names.add(name)
        found = installed(name)
        for text in (found.requires if found else None) or []:
            requirement = Requirement(text)
            if applies(requirement, extras):
                todo.append((canonicalize_name(requirement.name), frozenset(requirement.extras)))
    return names


def applies(requirement: Requirement, extras: frozenset[str]) -> bool:
    """Return whether a requirement holds on this machine with these extras."""
    marker = requirement.marker
    if marker is None:
        return True
    environment = {key: str(value) for key, value in default_environment().items()}
    return any(marker.evaluate(environment | {"extra": extra}) for extra in (*extras, ""))


def installed(name: str) -> Distribution | None:
    """Return an installed package, or None."""
    try:
        return distribution(name)
    except PackageNotFoundError:
        return None


def version(name: str) -> str:
    """Return the version that is installed."""
    found = installed(name)
    return found.version if found else "not installed"


def licence(name: str) -> str:
    """Return what a package says of its licence: the expression, the classifiers or the field."""
    found = installed(name)
    if found is None:
        return "-"
    about: Any = found.metadata
    if expression := about.get("License-Expression"):
        return str(expression)
    marks = [m.split(" :: ")[-1] for m in about.get_all("Classifier") or [] if "License" in m]
    marks = [mark for mark in marks if mark != "OSI Approved"]
    text = (about.get("License") or "").strip().splitlines()
    return ", ".join(marks) or (text[0] if text else "") or from_file(found)


def from_file(found: Distribution) -> str:
    """Return the first line of a package's licence file."""
    for path in found.files or []:
        if re.search(r"LICEN[CS]E|COPYING", path.name):
            lines = [line.strip() for line in path.read_text().splitlines() if line.strip()]
            return lines[0]
    return "not stated"


def data_sets() -> list[str]:
    """Return a table of the data sets of the model card: set, source, licence."""
    card = (ROOT / "MODEL_CARD.md").read_text(encoding="utf-8").split("## Data")[1]
    table = re.findall(r"(?:^\|.*\n)+", card, re.MULTILINE)[0]
    rows = [line.strip("| ").split(" | ") for line in table.splitlines()]
    lines = ["| " + " | ".join(row[k] for k in (0, 2, 3)) + " |" for row in rows if len(row) > 1]
    return [lines[0], "|---|---|---|", *lines[1:]]


if __name__ == "__main__":
    main()
