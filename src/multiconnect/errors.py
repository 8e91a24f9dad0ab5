"""Every exception of the package, as one tree.

MulticonnectError
├── UsageError (ValueError)        the caller's input is wrong; retrying cannot help
│   ├── InvalidRecipient           empty, too long, not text
│   ├── InvalidShards              not one of 1, 2, 4, 8, 16, 32
│   ├── InvalidPayload             too large, or not JSON
│   └── InvalidSettings            a flag, variable or relation between timers
├── CorruptData (ValueError)       bytes from a peer or a disk that break the layout
├── IdempotencyConflict            same key, other body
├── Unavailable                    the environment; the same call may succeed later
│   ├── StoreUnavailable           "don't know": the store did not answer, or answered in doubt
│   ├── Overloaded                 a named limit is reached
│   └── DeadlineExceeded           not acknowledged in time: the message may be stored or not
├── Refused                        the cluster said no, with the reason
├── Closed                         used before start or after close
└── Bug                            a state that must be impossible

"No" is a value and never an exception; an exception means wrong input, "don't know", or a bug.
"""

from __future__ import annotations


class MulticonnectError(Exception):
    """Root of every error raised by this package."""

    retryable = False


class UsageError(MulticonnectError, ValueError):
    """The caller's input is wrong; the same call cannot succeed later."""


class InvalidRecipient(UsageError):
    """A recipient that is empty, too long or not text."""


class InvalidShards(UsageError):
    """A shard count outside 1, 2, 4, 8, 16, 32."""


class InvalidPayload(UsageError):
    """A payload that is too large or cannot be written as JSON."""


class InvalidSettings(UsageError):
    """A setting, flag or URL that is malformed, or two that contradict each other."""


class CorruptData(MulticonnectError, ValueError):
    """Bytes from a peer or a disk that break the layout."""


class IdempotencyConflict(MulticonnectError):
    """The idempotency key was used before with another body."""


class Unavailable(MulticonnectError):
    """The environment failed; the same call may succeed later."""

    retryable = True


class StoreUnavailable(Unavailable):
    """The store did not answer, so nobody knows whether the call took effect."""


class Overloaded(Unavailable):
    """A named limit is reached; nothing was stored."""


class DeadlineExceeded(Unavailable):
    """No acknowledgement in time: the message may or may not be stored."""


class Refused(MulticonnectError):
    """The cluster said no; the message says why and what to do."""


class Closed(MulticonnectError):
    """Used before it was started or after it was closed."""


class Bug(MulticonnectError):
    """A state that must be impossible: please report it with the log."""
