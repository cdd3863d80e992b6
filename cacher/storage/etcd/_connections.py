"""Connections: one client's members, who it is to them, and how long it tries.

A call that failed is tried again where that cannot do it twice: at the next endpoint at once while there is one that was
not tried yet, then after waits that double, until patience is at its end. `_remote_errors` decides; here it is done.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import trio

from ._endpoints import Endpoint, Waits
from ._etcd3 import Message, rpc
from ._members import Certificates, Member, Members, Metadata, call, first_answer
from ._protocol import EtcdError, UnavailableError
from ._remote_errors import Asked, CallFailed, Fate, error_of, meaning
from ._version import tells_progress

if TYPE_CHECKING:
    from random import Random

T = TypeVar("T")
Method = Callable[[Member], Any]
"""Which stub of a member."""

THREADS_MAX = 1_000
"""One for each open watch."""

OTHERS_S = 1.0
"""For members that have not answered when another has."""

_NOT_ASKED = Asked()


class Connections:
    """All that one client knows of its etcd. Made in a trio run; `close` hangs up.

    Args:
        request_timeout_s: for one attempt.
        patience_s: for all attempts of one call, and for a watch without a stream.
        random: draws the waits.
    """

    def __init__(
        self,
        endpoints: Sequence[Endpoint],
        certificates: Certificates,
        *,
        user: str,
        password: str,
        request_timeout_s: float,
        patience_s: float,
        random: Random,
    ) -> None:
        self.members = Members(endpoints, certificates)
        self.user = user
        self.token = ""
        self.request_timeout_s = request_timeout_s
        self.patience_s = patience_s
        self.random = random
        self.limiter = trio.CapacityLimiter(THREADS_MAX)
        self._password = password
        self._login = trio.Lock()
        self._is_closed = False

    def hang_up(self) -> None:
        """Calls raise trio.ClosedResourceError from now on."""
        self._is_closed = True

    def close(self) -> None:
        """End what is still under way, and let the connections go."""
        self._is_closed = True
        self.members.close()

    def check_open(self) -> None:
        """Raises trio.ClosedResourceError after `close`."""
        if self._is_closed:
            raise trio.ClosedResourceError("this etcd client was closed: open another")

    def metadata(self) -> Metadata:
        """What goes with each request: only a member with a leader shall answer, and who asks."""
        leader = ("hasleader", "true")
        return (leader, ("token", self.token)) if self.token else (leader,)

    def failed(self, member: Member) -> None:
        """It could not be reached, or could do nothing: go on with the next, and when it is back ask what it is."""
        member.version = ""
        self.members.failed(member)

    # --- calls --------------------------------------------------------------------------------------------------------

    async def call(
        self,
        method: Method,
        request: Message,
        read: Callable[[Message], T],
        *,
        is_write: bool = False,
        asked: Asked = _NOT_ASKED,
    ) -> T:
        """What `read` makes of the answer.

        Cancelled, it returns at once; whether a write was done is then not known.
        Raises:
            EtcdError: as the protocol has it; UnavailableError when patience is at its end, or when a write may have
                been done (`outcome_unknown`).
            trio.ClosedResourceError: this client was closed.
        """
        return await self._try(
            lambda member, timeout_s: call(
                method(member), request, read, metadata=self.metadata(), timeout_s=timeout_s
            ),
            is_write=is_write,
            asked=asked,
        )

    async def stream(
        self, method: Method, request: Message, read: Callable[[Message], T], *, asked: Asked = _NOT_ASKED
    ) -> T:
        """As `call`, of a method that answers in a stream, and to which asking twice is as asking once."""
        return await self._try(
            lambda member, timeout_s: first_answer(
                method(member), request, read, metadata=self.metadata(), timeout_s=timeout_s, limiter=self.limiter
            ),
            is_write=False,
            asked=asked,
        )

    async def revision(self) -> int:
        """The store's, not older than this call."""
        request = rpc.RangeRequest(key=b"\0", count_only=True)
        return await self.call(lambda member: member.kv.Range, request, lambda answer: int(answer.header.revision))

    async def _try(self, attempt: Callable[[Member, float], Awaitable[T]], *, is_write: bool, asked: Asked) -> T:
        waits = Waits(len(self.members.all), self.random)
        gives_up_at = trio.current_time() + self.patience_s
        has_logged_in = False
        while True:
            self.check_open()
            member, token = self.members.current, self.token
            try:
                return await attempt(member, self.request_timeout_s)
            except CallFailed as failed:
                self.check_open()
                fate = meaning(failed).fate
                error = error_of(failed, asked, is_write=is_write, where=str(member.endpoint))
            if fate is Fate.LOGIN and self.user and not has_logged_in:
                has_logged_in = True
                await self.log_in(stale=token)
                continue
            if fate in (Fate.REFUSED, Fate.LOGIN) or (is_write and fate is Fate.UNKNOWN):
                if isinstance(error, UnavailableError):
                    self.failed(member)
                raise error
            self.failed(member)
            wait_s = waits.next()
            if trio.current_time() + wait_s >= gives_up_at:
                raise error
            await trio.sleep(wait_s)

    # --- who asks -----------------------------------------------------------------------------------------------------

    async def log_in(self, *, stale: str = "") -> None:
        """Get a token, unless somebody has got another one than `stale` meanwhile.

        Raises:
            UnauthenticatedError: the user or the password is wrong.
            UnavailableError: patience is at its end.
        """
        async with self._login:
            if self.token != stale:
                return
            self.token = ""
            request = rpc.AuthenticateRequest(name=self.user, password=self._password)
            try:
                self.token = await self.call(lambda member: member.auth.Authenticate, request, lambda a: str(a.token))
            except EtcdError as error:
                # An etcd whose authentication is off takes everybody for everybody.
                if "authentication is not enabled" not in str(error):
                    raise

    # --- who answers --------------------------------------------------------------------------------------------------

    async def learn_version(self, member: Member) -> None:
        """Have `member.version` be what it says, where that is not known; one that does not tell us stays unknown.

        Raises:
            CallFailed: it does not answer.
        """
        if member.version:
            return
        try:
            member.version = await call(
                member.maintenance.Status,
                rpc.StatusRequest(),
                lambda answer: str(answer.version),
                metadata=self.metadata(),
                timeout_s=self.request_timeout_s,
            )
        except CallFailed as failed:
            if meaning(failed).fate not in (Fate.REFUSED, Fate.LOGIN):
                raise

    async def learn_versions(self) -> None:
        """Ask every member what it is. Once one has answered the others have a second more: who is away is not waited for.

        Raises:
            UnavailableError: none did, for as long as patience lasts.
        """
        waits = Waits(1, self.random)
        gives_up_at = trio.current_time() + self.patience_s
        while True:
            failures: dict[Member, str] = dict.fromkeys(self.members.all, "no answer")
            async with trio.open_nursery() as nursery:
                for member in self.members.all:
                    nursery.start_soon(self._learn, member, failures, nursery.cancel_scope)
            if len(failures) < len(self.members.all):
                for member in failures:
                    self.members.failed(member)
                return
            wait_s = waits.next()
            if trio.current_time() + wait_s >= gives_up_at:
                said = "; ".join(f"{member.endpoint}: {why}" for member, why in failures.items())
                raise UnavailableError(f"no endpoint of etcd answers: start it, or name another ({said})")
            await trio.sleep(wait_s)

    async def _learn(self, member: Member, failures: dict[Member, str], others: trio.CancelScope) -> None:
        try:
            await self.learn_version(member)
        except CallFailed as failed:
            failures[member] = failed.details or failed.code
        else:
            del failures[member]
            others.deadline = min(others.deadline, trio.current_time() + OTHERS_S)

    @property
    def tells_progress(self) -> bool:
        """Whether every member that has answered so far is of a version whose progress can be believed."""
        versions = [member.version for member in self.members.all if member.version]
        return bool(versions) and all(map(tells_progress, versions))
