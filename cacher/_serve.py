"""A server as one runs it: a store, the API over it, who may come in, and the file by which clients find it.

    credentials ─┬─ one process: store ─ cluster ─ server ─────────────────────────┬─ kubeconfig ─ ready … until told to stop
                 └─ several: a port, and workers that are handed its connections ──┘

Whoever comes in has the generated token, one of a token file, or a client's certificate; plain HTTP asks nobody, and answers
this machine alone.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from random import Random

import trio

from ._clock import Clock
from ._credentials import make_credentials
from ._one_server import make_identity, open_one
from ._serve_options import ServeOptions
from ._workers import open_workers
from .server import Server, check_writable, kubeconfig_text, write_kubeconfig

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


async def serve(
    options: ServeOptions,
    *,
    ready: Callable[[str], None],
    audit: Callable[[str], None],
    note: Callable[[str], None],
    tell: Callable[[str], None] | None = None,
) -> None:
    """Serve until the process is told to stop (SIGINT, SIGTERM); answers under way are finished then, watches ended.

    A second signal ends it at once, as if there were no handler.

    Args:
        ready: told once, in one line, where the server is.
        audit: takes a line for each write; where there are workers, each writes its own to standard error.
        note: takes a line when a worker has died.
        tell: told once, in one line, where a browser logs in to the page for people; None: nobody is. Workers have no page: a
            browser that is logged in to one of them would be a stranger to the next.
    Raises:
        ServeError, KubeconfigRefused, TLSFilesError: what was asked for cannot be; the message says what to change.
        EtcdError, OSError: the store cannot be opened, or the address is taken.
        WorkersFailed: workers die again and again; the message says how.
    """
    check_writable(options.kubeconfig_path)
    credentials = make_credentials(options, now_s=Clock.of_machine().unix())
    context, authenticator = credentials.context(options), credentials.authenticator(options)
    identity = make_identity(Random())

    def announce(port: int, server: Server | None = None) -> None:
        text = kubeconfig_text(options.url(port), authority=credentials.authority, token=credentials.token)
        write_kubeconfig(options.kubeconfig_path, text)
        if server is not None and server.page is not None:
            server.public_url = options.url(port)
            if tell is not None:
                link = server.page.login.new_link()
                tell(f"the page for people, for once and ten minutes: {server.public_url}{link}")
        ready(options.ready_line(port))

    with ExitStack() as ending:
        if options.workers > 1:
            async with open_workers(options, credentials, identity=identity, note=note) as port:
                await _announced_and_told_to_stop(partial(announce, port))
                ending.enter_context(_ended_by_the_next_signal())
        else:
            async with open_one(
                options, tls=context, authenticator=authenticator, audit=audit, identity=identity, has_page=True
            ) as server:
                await _announced_and_told_to_stop(partial(announce, server.addresses[0][1], server))
                ending.enter_context(_ended_by_the_next_signal())


async def _announced_and_told_to_stop(announce: Callable[[], None]) -> None:
    with trio.open_signal_receiver(*_SIGNALS) as signals:
        announce()
        await anext(signals)


@contextmanager
def _ended_by_the_next_signal() -> Iterator[None]:
    """Another signal ends the process there and then: whoever asks twice does not want to wait for answers under way.

    A KeyboardInterrupt would not do that for certain: it may be raised where the wait for them is yet to begin.
    """
    before = {number: signal.signal(number, signal.SIG_DFL) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
