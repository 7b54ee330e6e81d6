"""What can go wrong, said in one sentence: where, what was found, how to mend it."""

from __future__ import annotations


class EntlinkError(Exception):
    """Any error that entlink raises on purpose; its text is one sentence for a person."""


class InputError(EntlinkError):
    """A file, folder or value given by the user cannot be used."""


class BundleError(EntlinkError):
    """A bundle is missing, damaged, or made by a newer version."""


class ConfigError(EntlinkError):
    """A setting is unknown or has a value that cannot work."""
