"""Patches: JSON patch, merge patch, strategic merge, server-side apply; and `metadata.managedFields` after every write.

Pure: plain JSON data and times as text go in, new data comes out, and nothing that went in is changed.
"""

from ._field_manager import FieldManager as FieldManager
from ._field_set import FieldSet as FieldSet
from ._field_set import fields as fields
from ._json_patch import apply_json_patch as apply_json_patch
from ._kinds import kind_type as kind_type
from ._managed_fields import keeping_times as keeping_times
from ._merge_patch import apply_merge_patch as apply_merge_patch
from ._scale import from_scale as from_scale
from ._scale import to_scale as to_scale
from ._strategic import apply_strategic_merge as apply_strategic_merge
from ._structural import custom_type as custom_type
from ._types import Type as Type
from ._types import canonical as canonical
