"""A kernel's own messages, heard in the kernel itself as any frontend of it hears them."""

from __future__ import annotations

import queue
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

SUBSCRIBED = 5.0  # seconds the kernel has to answer a new listener; it takes some milliseconds


class Frontend:
    """The kernel's own messages, as a frontend of it gets them. Readable for ``select``, which tells of new ones only:
    all must be taken before it is asked again."""

    def __init__(self) -> None:
        from ipykernel.connect import get_connection_file
        from jupyter_client.blocking.client import BlockingKernelClient

        self._client = BlockingKernelClient(connection_file=get_connection_file())
        self._early: list[Mapping[str, Any]] = []  # what came before the greeting

    def __enter__(self) -> Frontend:
        self._client.load_connection_file()
        self._client.start_channels(shell=False, stdin=False, hb=False, control=False)
        return self

    def __exit__(self, *about: object) -> None:
        self._client.stop_channels()

    def fileno(self) -> int:
        """For ``select``."""
        return self._client.iopub_channel.socket.fileno()

    def wait_until_subscribed(self) -> None:
        """The kernel greets whoever listens to a topic that nobody listened to before. What it says from then on is
        heard.

        Raises:
            TimeoutError: it does not.
        """
        topic = f"recorder-{uuid.uuid4().hex}"
        self._client.iopub_channel.socket.subscribe(topic.encode())
        try:
            while (message := self._client.get_iopub_msg(timeout=SUBSCRIBED))["content"].get("subscription") != topic:
                self._early.append(message)
        except queue.Empty:
            raise TimeoutError("the kernel does not answer its own recorder") from None

    def messages(self) -> Iterator[Mapping[str, Any]]:
        """Every message that has come."""
        while self._early:
            yield self._early.pop(0)
        while True:
            try:
                yield self._client.get_iopub_msg(timeout=0)
            except queue.Empty:
                return
