"""Versions of the packages that decide a result, for every record that the package writes."""

from importlib.metadata import version

VERSIONED_PACKAGES = ("raddiag-hf", "torch", "transformers")


def package_versions() -> dict[str, str]:
    """Return the installed version of each of them."""
    return {package: version(package) for package in VERSIONED_PACKAGES}
