"""Where objects are kept: Storage.Interface, and the stores behind it.

interface    Interface and its words; the errors
parts        keys, continue tokens, the codec, what options mean: for whoever implements the interface
below        `cacher.storage.etcd`: the interface over etcd, and etcd itself
"""

from ._codec import Codec as Codec
from ._codec import carries_resource_version as carries_resource_version
from ._codec import read_value as read_value
from ._continue_token import LATEST as LATEST
from ._continue_token import InvalidContinueToken as InvalidContinueToken
from ._continue_token import decode_continue as decode_continue
from ._continue_token import encode_continue as encode_continue
from ._errors import BadRequest as BadRequest
from ._errors import CorruptObject as CorruptObject
from ._errors import InternalError as InternalError
from ._errors import InvalidKey as InvalidKey
from ._errors import InvalidObject as InvalidObject
from ._errors import InvalidResourceVersion as InvalidResourceVersion
from ._errors import InvalidValue as InvalidValue
from ._errors import KeyExists as KeyExists
from ._errors import KeyNotFound as KeyNotFound
from ._errors import PlainError as PlainError
from ._errors import ProgressUntrusted as ProgressUntrusted
from ._errors import RequestTooLarge as RequestTooLarge
from ._errors import ResourceVersionConflict as ResourceVersionConflict
from ._errors import ResourceVersionSetOnCreate as ResourceVersionSetOnCreate
from ._errors import StatusError as StatusError
from ._errors import StorageError as StorageError
from ._errors import StorageReadError as StorageReadError
from ._errors import StorageTimeout as StorageTimeout
from ._errors import TooManyRequests as TooManyRequests
from ._errors import UndecodableObject as UndecodableObject
from ._errors import UnknownMatch as UnknownMatch
from ._errors import Unreachable as Unreachable
from ._errors import UnreadableObject as UnreadableObject
from ._interface import EventStream as EventStream
from ._interface import Interface as Interface
from ._interface import ListOptions as ListOptions
from ._interface import ListResult as ListResult
from ._interface import Match as Match
from ._interface import Preconditions as Preconditions
from ._interface import ResponseMeta as ResponseMeta
from ._interface import Semantics as Semantics
from ._interface import Stats as Stats
from ._interface import TryUpdate as TryUpdate
from ._interface import Update as Update
from ._interface import ValidateDeletion as ValidateDeletion
from ._interface import Value as Value
from ._keys import check_resource_prefix as check_resource_prefix
from ._keys import prepare_key as prepare_key
from ._keys import prepare_root as prepare_root
from ._metrics import CacheMetrics as CacheMetrics
from ._metrics import EtcdMetrics as EtcdMetrics
from ._metrics import HistogramValue as HistogramValue
from ._metrics import MetricsRegistry as MetricsRegistry
from ._metrics import MetricsSnapshot as MetricsSnapshot
from ._metrics import Sample as Sample
from ._passing import PassingStorage as PassingStorage
from ._validation import ListPlan as ListPlan
from ._validation import check_match as check_match
from ._validation import parse_resource_version as parse_resource_version
from ._validation import parse_watch_resource_version as parse_watch_resource_version
from ._validation import plan_list as plan_list
