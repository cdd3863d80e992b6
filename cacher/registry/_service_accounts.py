"""ServiceAccounts: who a pod is to the API. Pure.

Source: kubernetes pkg/registry/core/serviceaccount/strategy.go; pkg/apis/core/validation/validation.go (ValidateServiceAccount).
Differs: `token` is not served.
"""

from __future__ import annotations

from ._errors import GroupResource
from ._field_errors import FieldError
from ._meta import JSONObject
from ._rest import Context
from ._strategy import Strategy
from ._validation_meta import validate_core_meta_update


class ServiceAccountStrategy(Strategy):
    """The rules of service accounts: those of metadata."""

    def __init__(self) -> None:
        super().__init__(GroupResource("", "serviceaccounts"), "ServiceAccount")

    def validate_update(self, context: Context, new: JSONObject, old: JSONObject) -> list[FieldError]:
        """As an update, and as of a new one."""
        return validate_core_meta_update(new, old) + self.validate(context, new)
