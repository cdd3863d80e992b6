"""What the API answers instead of an object: the tree of `watch._api_errors`, where clients find it too.

Translating a storage's errors into these is `_storage_errors.py`'s.
"""

from __future__ import annotations

import json

from watch import MODIFIED as MODIFIED
from watch import AlreadyExists as AlreadyExists
from watch import APIError as APIError
from watch import ApplyConflict as ApplyConflict
from watch import BadRequest as BadRequest
from watch import Cause as Cause
from watch import Conflict as Conflict
from watch import Forbidden as Forbidden
from watch import GeneratedNameTaken as GeneratedNameTaken
from watch import Gone as Gone
from watch import GroupResource as GroupResource
from watch import InternalError as InternalError
from watch import Invalid as Invalid
from watch import MethodNotAllowed as MethodNotAllowed
from watch import NotAcceptable as NotAcceptable
from watch import NotFound as NotFound
from watch import PlainServerError as PlainServerError
from watch import RequestEntityTooLarge as RequestEntityTooLarge
from watch import ServerTimeout as ServerTimeout
from watch import ServiceUnavailable as ServiceUnavailable
from watch import StatusDetails as StatusDetails
from watch import StorageRead as StorageRead
from watch import Timeout as Timeout
from watch import TooManyRequests as TooManyRequests
from watch import Unauthorized as Unauthorized
from watch import UnknownResource as UnknownResource
from watch import Unprocessable as Unprocessable
from watch import UnsupportedMediaType as UnsupportedMediaType


def quoted(text: str) -> str:
    """The text as Go's %q shows it."""
    return json.dumps(text, ensure_ascii=False)
