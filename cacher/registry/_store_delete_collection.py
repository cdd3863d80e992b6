"""RegistryStore.delete_collection: a page of names at a time, deleted by a few workers.

What is returned was listed before anything was deleted, so it can name an object that somebody else deleted meanwhile. The
first error ends it, and leaves what was not deleted yet.

Source: kubernetes/apiserver pkg/registry/generic/registry/store.go (DeleteCollection).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import trio

from ..storage import ListOptions
from ._errors import APIError, NotFound
from ._rest import ObjectPage

if TYPE_CHECKING:
    from watch import Object

    from ._rest import Context, DeleteOptions, ValidateObject
    from ._store import RegistryStore

PAGE_SIZE = 10_000
"""Objects that are listed at once where the caller names no limit."""


async def delete_collection(
    store: RegistryStore,
    context: Context,
    list_options: ListOptions,
    validate: ValidateObject,
    options: DeleteOptions,
) -> ObjectPage:
    """See RegistryStore. With a limit of the caller's own, one page."""
    is_paged_by_us = list_options.limit == 0
    page_options = msgspec.structs.replace(list_options, limit=PAGE_SIZE) if is_paged_by_us else list_options
    listed: list[Object] = []
    while True:
        page = await store.list(context, page_options)
        await _delete_page(store, context, page.objects, validate, options)
        listed += page.objects
        if not is_paged_by_us or not page.continue_token:
            break
        page_options = msgspec.structs.replace(
            page_options, continue_token=page.continue_token, resource_version="", match=""
        )
    token, remaining = ("", None) if is_paged_by_us else (page.continue_token, page.remaining)
    return ObjectPage(tuple(listed), page.revision, token, remaining)


async def _delete_page(
    store: RegistryStore,
    context: Context,
    objects: tuple[Object, ...],
    validate: ValidateObject,
    options: DeleteOptions,
) -> None:
    """Delete the page's objects, in order, as many at once as the store has workers."""
    todo = iter(objects)
    errors: list[APIError] = []

    async def work() -> None:
        for obj in todo:
            if errors:
                return
            try:
                await store.delete(context, obj.name, validate=validate, options=options)
            except NotFound:
                continue  # somebody else deleted it, which was asked for
            except APIError as error:
                errors.append(error)

    async with trio.open_nursery() as nursery:
        for _ in range(min(store.delete_workers, len(objects))):
            nursery.start_soon(work)
    if errors:
        raise errors[0]
