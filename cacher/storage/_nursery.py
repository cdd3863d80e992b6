"""A nursery for a service's own tasks, beside the block of whoever uses the service."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio


@asynccontextmanager
async def open_service_nursery() -> AsyncIterator[trio.Nursery]:
    """A nursery whose tasks are cancelled when the block ends, and which leaves the block's own exception as it is.

    A plain nursery wraps whatever passes through it into an ExceptionGroup; a caller of a service would then catch groups
    for errors of its own. Here only the failure of a service task arrives as a group, and takes the place of the
    cancellation that it caused. What a service must do before its tasks stop, it does in its own `finally`, inside.
    """
    manager = trio.open_nursery()
    nursery = await manager.__aenter__()
    try:
        yield nursery
    finally:
        # The shield keeps a cancellation from outside from replacing the block's own exception while the tasks wind up.
        nursery.cancel_scope.shield = True
        nursery.cancel_scope.cancel()
        await manager.__aexit__(None, None, None)
