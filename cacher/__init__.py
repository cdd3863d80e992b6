"""Serve many readers from one upstream watch: a store, a cache over it, lists and watches.

open_cluster() → Cluster → .resource(version, plural) → Resource → .list(), .get(), .watch()
"""

from ._assembly import Cluster as Cluster
from ._assembly import Resource as Resource
from ._assembly import open_cluster as open_cluster
from ._assembly import open_server as open_server
from ._cacher import Cacher as Cacher
from ._cacher import CacherStatistics as CacherStatistics
from ._cacher_storage import CacherStorage as CacherStorage
from ._readers import ObjectList as ObjectList
from ._resources import RESOURCES as RESOURCES
from ._resources import ResourceInfo as ResourceInfo
from ._ring import Ring as Ring
from ._store_watch import ResourceWatch as ResourceWatch
from ._stores import StoreOptions as StoreOptions
from ._watch_cache import WatchCache as WatchCache
