"""What the output of a method depends on, besides npeg's own code."""

from importlib.metadata import PackageNotFoundError, packages_distributions, version

from ..networks import fingerprint
from .enhancement import PACKAGES, Method


def version_of(method: Method, strength: float) -> str:
    """Return the method's name, strength and weights, and the versions of its packages."""
    own = [f"weights {fingerprint([method.weights])}"] if method.weights else []
    packages = [_package(module) for module in method.modules]
    return ", ".join([f"{method.name} {strength:g}", *own, *packages])


def _package(module: str) -> str:
    name = PACKAGES.get(module, module).removeprefix("--no-deps ")
    for candidate in (name, *packages_distributions().get(module, ())):
        try:
            return f"{candidate} {version(candidate)}"
        except PackageNotFoundError:
            continue
    return module
