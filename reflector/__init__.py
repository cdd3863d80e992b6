"""reflector: keep a local copy of whatever can be listed and watched.

A `ListerWatcher` is the door to a source (an etcd prefix, a watch cache, an API server), a `ReflectorStore` the copy,
and a `Reflector` the task between them that lists, watches, resumes and relists.
"""

from __future__ import annotations

from ._backoff import Backoff as Backoff
from ._backoff import BackoffPolicy as BackoffPolicy
from ._backoff import Chance as Chance
from ._lister_watcher import Changes as Changes
from ._lister_watcher import ChangeStream as ChangeStream
from ._lister_watcher import ListerWatcher as ListerWatcher
from ._lister_watcher import Page as Page
from ._lister_watcher import ReflectorStore as ReflectorStore
from ._lister_watcher import Replacement as Replacement
from ._reflector import Reflector as Reflector
from ._reflector import ReflectorStatistics as ReflectorStatistics
