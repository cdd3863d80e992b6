"""reflector: keep a local copy of whatever can be listed and watched.

A `ListerWatcher` is the door to a source (an etcd prefix, a watch cache, an API server), a `ReflectorStore` the copy,
and a `Reflector` the task between them that lists, watches, resumes and relists.

A `SharedInformer` keeps such a copy and tells handlers what becomes of it; `SharedInformers` has one of each for a process.
A `Store` is such a copy: objects by key and by index, and what each step changed; a `Lister` reads it. A `WorkQueue` hands keys
to workers: each key once, never to two at a time, delayed and slowed down after failures.
A `Controller` is all of it together: informers, keys, and a reconcile function that is called for each.
A `Manager` runs several. A `LeaderElector` lets one of several processes act at a time.
A `RecordingClient` keeps a `Journal` of what controllers wrote, and of what they had read before.
`Expectations` say which of a controller's own writes its copy has yet to show.

`connect` makes all of this work on an API server over HTTP (`reflector.http`).
"""

from __future__ import annotations

from ._backoff import Backoff as Backoff
from ._backoff import BackoffPolicy as BackoffPolicy
from ._backoff import Chance as Chance
from ._client import Client as Client
from ._client import FieldsLike as FieldsLike
from ._client import JSONObject as JSONObject
from ._client import LabelsLike as LabelsLike
from ._client import PartClient as PartClient
from ._client import ResourceClient as ResourceClient
from ._controller import Controller as Controller
from ._controller import ControllerStatistics as ControllerStatistics
from ._controller import RunningReconcile as RunningReconcile
from ._election import LeaderOptions as LeaderOptions
from ._event_keys import KeyFunction as KeyFunction
from ._event_keys import OwnerReference as OwnerReference
from ._event_keys import Predicate as Predicate
from ._event_keys import any_of as any_of
from ._event_keys import controller_of as controller_of
from ._event_keys import labels_changed as labels_changed
from ._event_keys import owner_key as owner_key
from ._event_keys import revision_changed as revision_changed
from ._event_keys import spec_changed as spec_changed
from ._exact_writes import controller_reference as controller_reference
from ._exact_writes import delete_exactly as delete_exactly
from ._exact_writes import patch_exactly as patch_exactly
from ._exact_writes import update_exactly as update_exactly
from ._expectations import Expectations as Expectations
from ._expectations import Expected as Expected
from ._expectations import UidExpectations as UidExpectations
from ._handlers import Filtered as Filtered
from ._handlers import Functions as Functions
from ._handlers import Handler as Handler
from ._handlers import HandlerFailed as HandlerFailed
from ._handlers import HandlerStatistics as HandlerStatistics
from ._handlers import InformerStopped as InformerStopped
from ._handlers import Registration as Registration
from ._indexer import NAMESPACE_INDEX as NAMESPACE_INDEX
from ._indexer import IndexFunction as IndexFunction
from ._indexer import IndexFunctionFailed as IndexFunctionFailed
from ._indexer import UnknownIndex as UnknownIndex
from ._indexer import by_field as by_field
from ._indexer import by_label as by_label
from ._indexer import by_namespace as by_namespace
from ._informer import InformerStatistics as InformerStatistics
from ._informer import SharedInformer as SharedInformer
from ._informers import SharedInformers as SharedInformers
from ._journal import Journal as Journal
from ._journal import Write as Write
from ._leader import LeaderElector as LeaderElector
from ._leader import LeadershipLost as LeadershipLost
from ._leader import LeaderStatistics as LeaderStatistics
from ._lister import Lister as Lister
from ._lister import ObjectNotFound as ObjectNotFound
from ._lister_watcher import Changes as Changes
from ._lister_watcher import ChangeStream as ChangeStream
from ._lister_watcher import ListerWatcher as ListerWatcher
from ._lister_watcher import OfOneKind as OfOneKind
from ._lister_watcher import Page as Page
from ._lister_watcher import ReflectorStore as ReflectorStore
from ._lister_watcher import Replacement as Replacement
from ._lister_watcher import StreamingListerWatcher as StreamingListerWatcher
from ._manager import Manager as Manager
from ._manager import ManagerStatistics as ManagerStatistics
from ._mutations import ObjectMutated as ObjectMutated
from ._own_writes import is_terminating as is_terminating
from ._promises import BrokenPromise as BrokenPromise
from ._promises import EndlessList as EndlessList
from ._promises import ObjectCheck as ObjectCheck
from ._promises import ObjectOfAnotherKind as ObjectOfAnotherKind
from ._promises import ObjectWithoutUid as ObjectWithoutUid
from ._promises import WatchSilent as WatchSilent
from ._provenance import RecordingClient as RecordingClient
from ._queue_state import DurationStatistics as DurationStatistics
from ._queue_state import WorkQueueStatistics as WorkQueueStatistics
from ._rate_limits import BucketLimiter as BucketLimiter
from ._rate_limits import ExponentialLimiter as ExponentialLimiter
from ._rate_limits import MaxOfLimiter as MaxOfLimiter
from ._rate_limits import RateLimiter as RateLimiter
from ._rate_limits import default_limiter as default_limiter
from ._reads import RECONCILIATION as RECONCILIATION
from ._reads import Read as Read
from ._reads import Reconciliation as Reconciliation
from ._reconcile import GiveUp as GiveUp
from ._reconcile import Reconcile as Reconcile
from ._reconcile import ReconcileCancelled as ReconcileCancelled
from ._reconcile import ReconcileTimedOut as ReconcileTimedOut
from ._reconcile import Result as Result
from ._reflector import Reflector as Reflector
from ._reflector import ReflectorStatistics as ReflectorStatistics
from ._store import Store as Store
from ._store import StoreChange as StoreChange
from ._store import StoreChangeKind as StoreChangeKind
from ._store import Tombstone as Tombstone
from ._store import object_key as object_key
from ._time_of_day import TimeOfDay as TimeOfDay
from ._workqueue import QueueShutDown as QueueShutDown
from ._workqueue import WorkQueue as WorkQueue
from .http import connect as connect
