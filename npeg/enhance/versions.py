"""What the output of a method depends on, besides npeg's own code."""

from importlib.metadata import PackageNotFoundError, packages_distributions, version

from .contract import PACKAGES, Method


def version_of(method: Method) -> str:
    """Return the method's name and the versions of the packages that it needs."""
    return ", ".join([method.name, *(_package(module) for module in method.modules)])


def _package(module: str) -> str:
    name = PACKAGES.get(module, module).removeprefix("--no-deps ")
    for candidate in (name, *packages_distributions().get(module, ())):
        try:
            return f"{candidate} {version(candidate)}"
        except PackageNotFoundError:
            continue
    return module
