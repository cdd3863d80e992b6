"""SharedInformers: one informer for each thing that anybody in a process watches, however many ask for it.

Two informers on one resource are two clocks: what one of them shows the other may not show yet, and a controller that reads both
decides on a state that never was. So ask here, and share.

Source: client-go informers/factory.go, SharedInformerFactory.
"""

from __future__ import annotations

from random import Random
from typing import final

import trio

from watch import Selector

from ._client import Client, FieldsLike, LabelsLike
from ._handlers import InformerStopped
from ._informer import SharedInformer, Transform

Words = tuple[str, str, str, str, str]
"""What is asked for: version, plural, namespace, labels, fields."""


@final
class SharedInformers:
    """The informers over `client`, each made when it is first asked for. Starts nothing until `run` is called.

    Args:
        random: chance for their waits.
        transform: of every informer; None: objects are kept whole.
        resync_s: of every informer.
        requires_uid: of every informer.
        detects_mutations: of every informer.
    """

    def __init__(
        self,
        client: Client,
        *,
        random: Random,
        transform: Transform | None = None,
        resync_s: float = 0,
        requires_uid: bool = True,
        detects_mutations: bool = False,
    ) -> None:
        self._client = client
        self._random = random
        self._transform = transform
        self._resync_s = resync_s
        self._requires_uid = requires_uid
        self._detects_mutations = detects_mutations
        self._informers: dict[Words, SharedInformer] = {}
        self._nursery: trio.Nursery | None = None
        self._has_begun = False
        self._is_stopped = False

    def informer(
        self,
        version: str,
        plural: str,
        *,
        namespace: str | None = None,
        labels: LabelsLike = None,
        fields: FieldsLike = None,
    ) -> SharedInformer:
        """The informer of what these words mean: the same one for the same words. While this runs, it runs.

        Raises:
            InvalidSelector: correct the text where the message points.
            InformerStopped: too late for a new one.
        """
        selector = Selector.of(namespace, labels=labels, fields=fields)
        words = (version, plural, selector.namespace, str(selector.labels), str(selector.fields))
        known = self._informers.get(words)
        if known is not None:
            return known
        if self._is_stopped:
            raise InformerStopped("these informers have stopped: no other can be had")
        source = self._client.resource(version, plural).lister_watcher(
            namespace=namespace, labels=labels, fields=fields
        )
        made = self._informers[words] = SharedInformer(
            source,
            random=Random(self._random.getrandbits(64)),
            name="/".join(filter(None, (self._client.name, version, plural, str(selector)))),
            transform=self._transform,
            resync_s=self._resync_s,
            requires_uid=self._requires_uid,
            detects_mutations=self._detects_mutations,
        )
        if self._nursery is not None:
            self._nursery.start_soon(made.run, name=f"informer {made.name}")
        return made

    @property
    def informers(self) -> tuple[SharedInformer, ...]:
        """Those that were asked for, oldest first."""
        return tuple(self._informers.values())

    @property
    def unsynced(self) -> tuple[SharedInformer, ...]:
        """Those of them that have yet to sync: what a `wait_until_synced` that takes long is waiting for."""
        return tuple(informer for informer in self._informers.values() if not informer.has_synced)

    async def run(self) -> None:
        """Run all of them, also those that are asked for later, until cancelled. Once only.

        Raises:
            RuntimeError: it has been run before; and as SharedInformer.run.
        """
        if self._has_begun:
            raise RuntimeError("these informers have been run before: make others")
        self._has_begun = True
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                for informer in self._informers.values():
                    nursery.start_soon(informer.run, name=f"informer {informer.name}")
                await trio.sleep_forever()
        finally:
            self._nursery = None
            self._is_stopped = True

    async def wait_until_synced(self) -> None:
        """Return once all that have been asked for have synced, those that are asked for meanwhile among them.

        Raises:
            InformerStopped: one of them stopped before.
        """
        await trio.lowlevel.checkpoint()
        while lagging := self.unsynced:
            await lagging[0].wait_until_synced()
