"""etcd: its words, a small protocol that a remote and an embedded one share, the embedded one; Storage.Interface on top.

words        KeyValue, EtcdEvent, the requests, the results, the errors; prefix_end
protocol     Etcd, EtcdWatch
embedded     open_embedded_etcd → EmbeddedEtcd, from a Snapshot or empty
on top       EtcdListerWatcher: a prefix as a ListerWatcher
             EtcdStorage: Storage.Interface; LeaseManager and Compactor, which storages of one etcd share
"""

from ._compactor import COMPACT_REV_KEY as COMPACT_REV_KEY
from ._compactor import Compactor as Compactor
from ._embedded import EmbeddedEtcd as EmbeddedEtcd
from ._embedded import EtcdStatistics as EtcdStatistics
from ._embedded import open_embedded_etcd as open_embedded_etcd
from ._embedded_watch import EmbeddedWatch as EmbeddedWatch
from ._lease_manager import LeaseManager as LeaseManager
from ._lister_watcher import EtcdListerWatcher as EtcdListerWatcher
from ._mvcc import Snapshot as Snapshot
from ._protocol import CompactedError as CompactedError
from ._protocol import Compare as Compare
from ._protocol import CompareTarget as CompareTarget
from ._protocol import DeleteRange as DeleteRange
from ._protocol import DuplicateKeyError as DuplicateKeyError
from ._protocol import Etcd as Etcd
from ._protocol import EtcdError as EtcdError
from ._protocol import EtcdEvent as EtcdEvent
from ._protocol import EtcdWatch as EtcdWatch
from ._protocol import EventKind as EventKind
from ._protocol import FutureRevisionError as FutureRevisionError
from ._protocol import InvalidRequestError as InvalidRequestError
from ._protocol import KeyValue as KeyValue
from ._protocol import LeaseExistsError as LeaseExistsError
from ._protocol import LeaseNotFoundError as LeaseNotFoundError
from ._protocol import LeaseResult as LeaseResult
from ._protocol import Operation as Operation
from ._protocol import Put as Put
from ._protocol import Range as Range
from ._protocol import RangeResult as RangeResult
from ._protocol import RequestTooLargeError as RequestTooLargeError
from ._protocol import Txn as Txn
from ._protocol import TxnResult as TxnResult
from ._protocol import WatchFilter as WatchFilter
from ._protocol import WatchResponse as WatchResponse
from ._protocol import WriteResult as WriteResult
from ._protocol import prefix_end as prefix_end
from ._storage import EtcdStorage as EtcdStorage
from ._storage_watch import EtcdEventStream as EtcdEventStream
