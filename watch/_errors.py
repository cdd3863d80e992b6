"""What can go wrong for somebody who lists or watches, divided by who must act.

    WatchError
    ├── Expired                   410: the history asked for is gone; list again
    ├── TooLargeResourceVersion   504: this cache has not seen that revision yet; wait and retry
    ├── NotReady                  429: the cache is (re)initialising; wait and retry
    ├── InvalidSelector           400: the selector's text is wrong; correct it (also a ValueError)
    └── ObjectDecodeError         500: a stored value is not an object; its writer must mend it

A watch that simply ends (its cache closed it) raises `trio.EndOfChannel`, as every trio channel does: watch again from
`Watch.revision`.
"""

from __future__ import annotations


class WatchError(Exception):
    """The family: catch this to catch them all. `code`, `reason` and `message` are what Kubernetes answers, to the letter.

    `str()` of one adds what to do. `retry_after_s` is 0 where the answer names no time.
    """

    code: int = 500
    reason: str = "InternalError"
    retry_after_s: float = 0

    def __init__(self, message: str, cure: str = "") -> None:
        self.message = message
        super().__init__(f"{message}: {cure}" if cure else message)


class Expired(WatchError):
    """The events after `asked` are no longer all in the history: list again and watch from the list's revision.

    Source: kubernetes/apiserver pkg/storage/cacher/watch_cache.go, "too old resource version".
    """

    code = 410
    reason = "Expired"

    def __init__(self, asked: int, oldest: int, *, message: str = "", continue_token: str = "") -> None:
        self.asked = asked
        """The revision after which events were wanted."""
        self.oldest = oldest
        """The lowest revision that a watch could have started from."""
        self.continue_token = continue_token
        """Of a list whose pages were compacted: with it the rest can be had, at a newer revision than the first pages."""
        super().__init__(
            message or f"too old resource version: {asked} ({oldest})",
            "list again, then watch from that list's revision",
        )


class TooLargeResourceVersion(WatchError):
    """The cache did not reach `asked` in time: retry after `retry_after_s`, or ask for a lower revision."""

    code = 504
    reason = "Timeout"

    def __init__(self, asked: int, current: int, *, retry_after_s: float = 1.0) -> None:
        self.asked = asked
        self.current = current
        self.retry_after_s = retry_after_s
        super().__init__(
            f"Timeout: Too large resource version: {asked}, current: {current}", "retry in a moment, or ask for less"
        )


class NotReady(WatchError):
    """The cache has no complete state to serve from: retry after `retry_after_s`. It says why where it knows."""

    code = 429
    reason = "TooManyRequests"

    def __init__(self, reason: str = "", *, retry_after_s: float = 1.0) -> None:
        self.retry_after_s = retry_after_s
        why = f": {reason}" if reason else ""
        super().__init__(f"storage is (re)initializing{why}", f"retry in {retry_after_s:g} s")


class InvalidSelector(WatchError, ValueError):
    """The selector `text` cannot be read; the message says where and what would be right."""

    code = 400
    reason = "BadRequest"

    def __init__(self, text: str, problem: str) -> None:
        self.text = text
        self.problem = problem
        Exception.__init__(self, f"invalid selector {text!r}: {problem}")
        self.message = problem


class ObjectDecodeError(WatchError):
    """The value stored under `key` at `revision` is not a JSON object: whoever wrote it must write it again."""

    def __init__(self, key: str, revision: int, problem: str) -> None:
        self.key = key
        self.revision = revision
        self.problem = problem
        super().__init__(
            f"the value of {key} at revision {revision} is not an object: {problem}",
            "write it again, or delete the key",
        )
