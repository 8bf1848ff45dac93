"""One operator at a time: whoever changes what a deployment has in the clouds holds its lock, on whatever machine.

The lock stands in the deployment's AWS account and region, so that everybody finds it who could change the deployment.
Its holder renews it; one who cannot do so in time stops of its own accord, some while before anybody may conclude that
it is dead: only a call that was on its way already goes through. So whoever takes over needs no clock but its own: it
watches the lock for a whole lease without a renewal. On the holder's own machine, a process that has ended is known to
have.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from types import FrameType
from typing import Literal

from . import wait
from .archive import origin
from .clouds.base import Lock, Posted
from .errors import LockError, RunbookError, WaitTimeout

LEASE = 60.0  # seconds without a renewal after which a lock may be taken over
RENEWALS = 6  # a lease: so many may be tried before the holder has to stop, which it does one before the last
HANDOVER = 10.0  # seconds for a lock that was just taken down, or is not known everywhere yet
# Goes on while the machine sleeps, where the platform has such a clock.
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)

Life = Literal["alive", "dead", "silent"]


class Lease:
    """The lock, held.

    Args:
        lock: where it is.
        id: its id.
        facts: what is written on it.
        seconds: the lease.
        begun: this machine's clock just before it was put up.
    """

    def __init__(self, lock: Lock, id: str, facts: Mapping[str, str], seconds: float, begun: float) -> None:
        self._lock = lock
        self._id = id
        self._facts = dict(facts)
        self._seconds = seconds
        self._renewed = begun
        self._lost = ""
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="lease", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Make sure that it is still held. Once it is not, it never is again.

        Raises:
            LockError: it was taken over or removed, or could not be renewed in time.
        """
        silent = _now() - self._renewed
        if not self._lost and silent > self._seconds * (RENEWALS - 1) / RENEWALS:
            self._lost = f"not renewed for {silent:.0f} s: this process stood still, or AWS did not answer"
        if self._lost:
            raise LockError(
                "this deployment is no longer yours to change, so nothing more is begun",
                step=self._facts["Step"],
                resource=f"aws:key_pair:{self._lock.name}",
                expected=f"the lock of {self._facts['Holder']}, renewed within {self._seconds:g} s",
                seen=self._lost,
                remedy="run the step again: it waits its turn, and carries on from what is there then",
            )

    def release(self) -> None:
        """Renew it no more, and take it down if it is still held.

        Raises:
            CloudError: it could not be taken down; it runs out by itself.
        """
        self._end.set()
        self._thread.join()
        self._lock.remove(self._id)

    def _beat(self) -> None:
        while not self._end.wait(self._seconds / RENEWALS):
            try:
                self.check()
                begun = _now()
                if not self._lock.renew(self._id, {**self._facts, "Renewed": _time()}):
                    self._lost = "it was taken over or removed"
                    return
            except LockError:
                return
            except RunbookError:
                continue  # the next one may come through; if none does, time is up
            self._renewed = begun


@contextlib.contextmanager
def held(
    lock: Lock,
    step: str,
    public_key: str,
    *,
    seconds: float = LEASE,
    tell: Callable[[str], None] = print,
) -> Iterator[Lease]:
    """Hold a deployment's lock as long as the block lasts, and take it down however that ends.

    Args:
        lock: where it is.
        step: what is done meanwhile, for others to read.
        public_key: the operator's.
        seconds: the lease.
        tell: is told when somebody else's lock is taken over, or one's own cannot be taken down.

    Raises:
        LockError: somebody else holds it.
        CloudError: AWS refused or failed.
    """
    with _terminable():
        lease = _acquire(lock, step, public_key, seconds, tell)
        try:
            yield lease
        finally:
            try:
                lease.release()
            except RunbookError as error:
                tell(f"the lock {lock.name} is still up, and runs out after {seconds:g} s: {error.message}")


def life(facts: Mapping[str, str], now: datetime, ended: Callable[[str], bool]) -> Life:
    """What is known of a lock's holder at first sight. Pure.

    Args:
        facts: what is written on the lock.
        now: this machine's time.
        ended: tells whether a process is known to have ended.

    Returns:
        ``dead`` if its process has ended, ``alive`` if it was renewed within its lease, as far as this machine's clock
        is right, and ``silent`` otherwise: it has to be watched.
    """
    if ended(facts.get("Process", "")):
        return "dead"
    age = _age(facts, now)
    return "alive" if age is not None and abs(age) < lease_of(facts) else "silent"


def lease_of(facts: Mapping[str, str]) -> float:
    """The seconds after which a lock runs out, as its holder has it."""
    try:
        return float(facts["Lease"])
    except (KeyError, ValueError):
        return LEASE


def _acquire(lock: Lock, step: str, public_key: str, seconds: float, tell: Callable[[str], None]) -> Lease:
    who = origin.identity()
    facts = {
        "Holder": f"{who.get('login') or who['user']}@{who['host']}",
        "Process": origin.process(),
        "Step": step,
        "Lease": f"{seconds:g}",
        "Since": _time(),
    }

    def attempt() -> Lease | None:
        for _ in range(2):  # once more at once: to watch a holder may take longer than all of this waits
            begun = _now()
            if id := lock.post(public_key, {**facts, "Renewed": _time()}):
                return Lease(lock, id, facts, seconds, begun)
            standing = lock.look()
            if standing is None:
                return None
            if facts.items() <= standing.facts.items():  # put up by a call whose answer never came
                return Lease(lock, standing.id, facts, seconds, begun)
            _make_way(lock, standing, step, tell)
        return None

    lease = wait.until(
        attempt,
        lambda got: got is not None,
        what=f"the lock {lock.name}",
        timeout=HANDOVER,
        describe=lambda _: "it is up, and is not listed",
        remedy="run the step again in a minute",
    )
    assert lease is not None
    return lease


def _make_way(lock: Lock, standing: Posted, step: str, tell: Callable[[str], None]) -> None:
    """Remove the lock of a dead holder. If several do, each removes the same one, and one of them puts up the next.

    Raises:
        LockError: its holder lives.
    """
    seen = life(standing.facts, datetime.now(UTC), origin.process_ended)
    if seen == "alive":
        raise _refusal(lock, standing, step)
    why = "its process has ended"
    if seen == "silent":
        seconds = lease_of(standing.facts)
        tell(f"{_holder(standing)} has given no sign of life; watching for {seconds:g} s")
        try:
            now = wait.until(
                lock.look,
                lambda now: now is None or now != standing,
                what=f"a sign of life of {_holder(standing)}",
                timeout=seconds,
                interval=min(1.0, seconds / RENEWALS),
            )
        except WaitTimeout:
            why = f"no sign of life for {seconds:g} s"
        else:
            if now is not None:
                raise _refusal(lock, now, step)
            return
    tell(f"taking over from {_holder(standing)}: {why}")
    lock.remove(standing.id)


def _refusal(lock: Lock, standing: Posted, step: str) -> LockError:
    age = _age(standing.facts, datetime.now(UTC))
    return LockError(
        f"{lock.name.removesuffix('-lock')} is being changed by somebody else",
        step=step,
        resource=f"aws:key_pair:{lock.name}",
        expected="nobody at work",
        seen=f"{_holder(standing)}" + ("" if age is None else f", last sign of life {max(age, 0):.0f} s ago"),
        remedy="nothing was done; run the step again when that has ended. If nobody is at work there, end that"
        f" process: its lock is taken over at once on its machine, and elsewhere after {lease_of(standing.facts):g} s",
    )


def _holder(standing: Posted) -> str:
    known = {name: standing.facts.get(name, "?") for name in ("Holder", "Step", "Since")}
    return f"{known['Holder']}, in {known['Step']} since {known['Since']}"


def _age(facts: Mapping[str, str], now: datetime) -> float | None:
    try:
        return (now - datetime.fromisoformat(facts["Renewed"])).total_seconds()
    except (KeyError, ValueError, TypeError):
        return None


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM end the block as an exception does, and then have its usual effect."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    ended = False

    def end(_number: int, _frame: FrameType | None) -> None:
        nonlocal ended
        ended = True
        raise SystemExit(128 + signal.SIGTERM)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
        if ended:
            signal.raise_signal(signal.SIGTERM)


def _now() -> float:
    return time.clock_gettime(_CLOCK)


def _time() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
