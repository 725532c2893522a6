"""The errors semjax raises: one short tree, one clear sentence each.

The command line prints the sentence and exits with status 2; library users catch `SemjaxError`.
"""


class SemjaxError(Exception):
    """Base of every error that semjax raises on purpose."""


class InputError(SemjaxError, ValueError):
    """A file, an array or a setting given by the caller cannot be used."""


class StreamError(SemjaxError, ValueError):
    """A stream is truncated, corrupted, or of another version."""


class RateError(SemjaxError, ValueError):
    """A rate was asked for that the layers cannot meet; says what they can."""


class NotAvailableError(SemjaxError, NotImplementedError):
    """A part of the interface that this version does not have."""
