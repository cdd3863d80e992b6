"""Eyes on the copies that processes keep: a handler that writes down what an informer tells, and looks at what it holds."""

from __future__ import annotations

from typing import final

import trio

from reflector import InformerStopped, Registration, SharedInformer, Tombstone
from watch import Object, Selector

from ._acts import Acts, Copy, Handled, SyncedAt


@final
class Eye:
    """Looks at one informer of one life of a process. Begins with the informer.

    Args:
        holder: the process and its life, and what is watched.
    """

    def __init__(self, informer: SharedInformer, holder: str, prefix: str, selector: Selector, acts: Acts) -> None:
        self.informer = informer
        self.holder = holder
        self.prefix = prefix
        self.selector = selector
        self._acts = acts
        self.registration: Registration = informer.add_handler(self, name="eye")

    async def note_synced(self) -> None:
        """Write down when the handler is first called synced."""
        try:
            await self.registration.wait_until_synced()
        except InformerStopped:
            return
        self._acts.synced.append(SyncedAt(trio.current_time(), self.holder, len(self._acts.handled)))

    def look(self, *, with_objects: bool = False, is_final: bool = False) -> Copy:
        """The copy as it is now. Cost: O(objects) with them."""
        informer = self.informer
        objects = None
        if with_objects:
            objects = tuple(sorted((obj for _, obj in informer.store.items()), key=_key))
        staleness_s = informer.staleness_s
        now_s = trio.current_time()
        return Copy(
            at_s=now_s,
            holder=self.holder,
            prefix=self.prefix,
            selector=self.selector,
            revision=informer.last_revision,
            has_synced=informer.has_synced,
            is_live=informer.is_live(),
            heard_s=None if staleness_s > now_s + 1e9 else now_s - staleness_s,
            objects=objects,
            is_final=is_final,
        )

    def is_as(self, truth: dict[str, int]) -> bool:
        """Whether the copy holds just these keys at these revisions."""
        return {obj.key: obj.revision for _, obj in self.informer.store.items()} == truth

    # ---- Handler -----------------------------------------------------------------------------------------------------

    def on_add(self, obj: Object, is_in_initial_list: bool) -> None:
        """See Handler."""
        self._note("add", obj, is_initial=is_in_initial_list)

    def on_update(self, old: Object, new: Object) -> None:
        """See Handler."""
        self._note("update", new, previous_uid=old.uid)

    def on_delete(self, obj: Object | Tombstone) -> None:
        """See Handler: the last state, or a Tombstone."""
        if isinstance(obj, Object):
            self._note("delete", obj)
        else:
            self._note("delete", obj.last_known, is_tombstone=True)

    def _note(
        self, kind: str, obj: Object, *, previous_uid: str = "", is_initial: bool = False, is_tombstone: bool = False
    ) -> None:
        self._acts.handled.append(
            Handled(
                trio.current_time(),
                self.holder,
                kind,
                obj.key,
                obj.uid,
                obj.revision,
                previous_uid,
                is_initial,
                is_tombstone,
            )
        )


def _key(obj: Object) -> str:
    return obj.key
