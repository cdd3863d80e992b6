"""The words that all layers share, and one stream fanned out to many.

words        Event, Object, selectors, errors; the API's errors and patch types
fan-out      Router → View (one log a selector) → Watch | WatchSet | sink
pure parts   the transition table (`filter_event`), bookmark times (`BookmarkSchedule`)
"""

from ._api_errors import MODIFIED as MODIFIED
from ._api_errors import AlreadyExists as AlreadyExists
from ._api_errors import APIError as APIError
from ._api_errors import ApplyConflict as ApplyConflict
from ._api_errors import BadRequest as BadRequest
from ._api_errors import Cause as Cause
from ._api_errors import Conflict as Conflict
from ._api_errors import Flaw as Flaw
from ._api_errors import Forbidden as Forbidden
from ._api_errors import GeneratedNameTaken as GeneratedNameTaken
from ._api_errors import Gone as Gone
from ._api_errors import GroupResource as GroupResource
from ._api_errors import InternalError as InternalError
from ._api_errors import Invalid as Invalid
from ._api_errors import MethodNotAllowed as MethodNotAllowed
from ._api_errors import NotAcceptable as NotAcceptable
from ._api_errors import NotFound as NotFound
from ._api_errors import PlainServerError as PlainServerError
from ._api_errors import RequestEntityTooLarge as RequestEntityTooLarge
from ._api_errors import ServerTimeout as ServerTimeout
from ._api_errors import ServiceUnavailable as ServiceUnavailable
from ._api_errors import StatusDetails as StatusDetails
from ._api_errors import StorageRead as StorageRead
from ._api_errors import Timeout as Timeout
from ._api_errors import TooManyRequests as TooManyRequests
from ._api_errors import Unauthorized as Unauthorized
from ._api_errors import UnknownResource as UnknownResource
from ._api_errors import Unprocessable as Unprocessable
from ._api_errors import UnsupportedMediaType as UnsupportedMediaType
from ._api_errors import error_from_status as error_from_status
from ._bookmarks import BookmarkSchedule as BookmarkSchedule
from ._bookmarks import bookmark_tick_delay_s as bookmark_tick_delay_s
from ._errors import Expired as Expired
from ._errors import InvalidSelector as InvalidSelector
from ._errors import NotReady as NotReady
from ._errors import ObjectDecodeError as ObjectDecodeError
from ._errors import TooLargeResourceVersion as TooLargeResourceVersion
from ._errors import WatchError as WatchError
from ._event import INITIAL_EVENTS_END as INITIAL_EVENTS_END
from ._event import Event as Event
from ._event import EventType as EventType
from ._event import bookmark as bookmark
from ._filter import filter_event as filter_event
from ._filter import transition as transition
from ._object import Object as Object
from ._object import ObjectReader as ObjectReader
from ._patch_type import PatchType as PatchType
from ._router import Router as Router
from ._selector import Selector as Selector
from ._selector_terms import FieldRequirement as FieldRequirement
from ._selector_terms import FieldSelector as FieldSelector
from ._selector_terms import LabelRequirement as LabelRequirement
from ._selector_terms import LabelSelector as LabelSelector
from ._selector_terms import Operator as Operator
from ._sorted import SortedKeys as SortedKeys
from ._view import Batch as Batch
from ._view import Sink as Sink
from ._view import View as View
from ._watch import Watch as Watch
from ._watch_set import WatchSet as WatchSet
