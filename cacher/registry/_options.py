"""Whether the options of a request can be, in the words of the API. Pure.

Source: kubernetes/apimachinery pkg/apis/meta/v1/validation/validation.go.
"""

from __future__ import annotations

from collections.abc import Sequence

from ._errors import GroupResource, Invalid
from ._field_errors import FieldError, forbidden, not_supported, required
from ._validation_meta import validate_field_manager

DryRun = bool | Sequence[str]
"""True and `["All"]` store nothing; what else a client sends is refused."""

FIELD_VALIDATIONS = ("", "Ignore", "Strict", "Warn")


def is_dry_run(dry_run: DryRun) -> bool:
    """Whether nothing is to be stored. Check it first."""
    return bool(dry_run)


def check_write_options(
    kind: str, *, dry_run: DryRun = False, field_manager: str = "", field_validation: str = ""
) -> None:
    """Raises Invalid where options of that kind, such as `CreateOptions`, cannot be."""
    _refuse(kind, validate_write_options(dry_run, field_manager, field_validation))


def check_patch_options(
    *, is_apply: bool, force: bool | None, dry_run: DryRun, field_manager: str, field_validation: str
) -> None:
    """Raises Invalid where the options of a patch cannot be: an apply needs a manager, and alone knows force."""
    wrong: list[FieldError] = []
    if not is_apply and force is not None:
        wrong.append(forbidden("force", "may not be specified for non-apply patch"))
    if is_apply and not field_manager:
        wrong.append(required("fieldManager", "is required for apply patch"))
    _refuse("PatchOptions", wrong + validate_write_options(dry_run, field_manager, field_validation))


def validate_write_options(dry_run: DryRun, field_manager: str, field_validation: str) -> list[FieldError]:
    """What is wrong with what all writes have."""
    wrong = validate_field_manager(field_manager, "fieldManager") + validate_dry_run(dry_run)
    if field_validation not in FIELD_VALIDATIONS:
        wrong.append(not_supported("fieldValidation", field_validation, FIELD_VALIDATIONS))
    return wrong


def validate_dry_run(dry_run: DryRun) -> list[FieldError]:
    """What is wrong with a dry run's value."""
    if isinstance(dry_run, bool) or all(value == "All" for value in dry_run):
        return []
    return [not_supported("dryRun", list(dry_run), ("All",))]


def _refuse(kind: str, wrong: list[FieldError]) -> None:
    if wrong:
        raise Invalid(GroupResource("meta.k8s.io", kind), "", wrong)
