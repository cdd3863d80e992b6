"""Custom resources: what a customresourcedefinition says that objects are, compiled and applied. All of it is pure.

`Definition` is where to begin; the functions that a definition's own life needs (its errors, its defaults, its status) stand
beside it.
"""

from ._columns import Column as Column
from ._columns import human_duration as human_duration
from ._definition import Admitted as Admitted
from ._definition import BadDefinition as BadDefinition
from ._definition import Definition as Definition
from ._definition import Names as Names
from ._definition import Version as Version
from ._definition_errors import definition_errors as definition_errors
from ._definition_errors import definition_status_errors as definition_status_errors
from ._definition_status import FINALIZER as FINALIZER
from ._definition_status import is_accepted as is_accepted
from ._definition_status import is_established as is_established
from ._definition_status import is_terminating as is_terminating
from ._definition_status import prepared_for_create as prepared_for_create
from ._definition_status import prepared_for_update as prepared_for_update
from ._definition_status import with_defaults as with_defaults
from ._definition_status import with_deletion_failed as with_deletion_failed
from ._definition_status import with_deletion_in_progress as with_deletion_in_progress
from ._definition_status import with_deletion_pending as with_deletion_pending
from ._definition_status import with_established as with_established
from ._definition_status import with_names_decided as with_names_decided
from ._definition_status import with_objects_deleted as with_objects_deleted
from ._json_path import BadJSONPath as BadJSONPath
from ._json_path import JSONPath as JSONPath
from ._json_path import json_path as json_path
from ._metadata import BadMetadata as BadMetadata
from ._metadata import CheckMetadata as CheckMetadata
from ._metadata import known_metadata as known_metadata
from ._scale import ScalePaths as ScalePaths
from ._shape import shape_problem as shape_problem
from ._structural import Schema as Schema
from ._structural import read_schema as read_schema
