"""ControllerRevisions: the past of a stateful or daemon set, which is never rewritten. Pure.

Source: kubernetes pkg/registry/apps/controllerrevision/strategy.go; pkg/apis/apps/validation/validation.go
(ValidateControllerRevision…).
"""

from __future__ import annotations

from ._errors import GroupResource
from ._field_errors import FieldError, required
from ._meta import JSONObject
from ._rest import Context
from ._strategy import Strategy
from ._validation_meta import validate_core_meta_update
from ._workload_validation import non_negative, unchanged


class ControllerRevisionStrategy(Strategy):
    """The rules of revisions."""

    def __init__(self) -> None:
        super().__init__(GroupResource("apps", "controllerrevisions"), "ControllerRevision")

    def validate(self, context: Context, obj: JSONObject) -> list[FieldError]:
        """Metadata, the number, and that there is something to go back to."""
        wrong, data = self._validate_meta(context, obj), obj.get("data")
        if data is None:
            return [*wrong, required("data", "data is mandatory")]
        return wrong if isinstance(data, dict) else [*wrong, required("data", "data must be a valid JSON object")]

    def validate_update(self, context: Context, new: JSONObject, old: JSONObject) -> list[FieldError]:
        """As an update, and that the data stays."""
        wrong = validate_core_meta_update(new, old) + self._validate_meta(context, new)
        return wrong + unchanged(new, old, "", "data")

    def _validate_meta(self, context: Context, obj: JSONObject) -> list[FieldError]:
        return super().validate(context, obj) + non_negative(obj, "", "revision")
