"""The words that all layers share, and one stream fanned out to many.

words        Event, Object, selectors, errors
fan-out      Router → View (one log a selector) → Watch | WatchSet | sink
pure parts   the transition table (`filter_event`), bookmark times (`BookmarkSchedule`)
"""

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
