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


def reason(error: BaseException) -> str:
    """What another library's error says, on one line and never long, to be quoted in ours."""
    text = " ".join(str(error).split())
    if isinstance(error, KeyError):
        text = f"{text} is missing"
    return (text if len(text) <= 200 else f"{text[:200]}...") or type(error).__name__
