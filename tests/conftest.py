"""What all tests share."""

from __future__ import annotations

import select
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from runbook_lib import events

ROOT = Path(__file__).resolve().parent.parent

# A developer's own accounts. Tests speak to emulators with credentials that they make.
ACCOUNTS = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_PROFILE",
    "AWS_ENDPOINT_URL",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "GOOGLE_CLOUD_PROJECT",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever is in tests/e2e or tests/browser needs a lab, so that nobody has to remember the mark."""
    for item in items:
        if {"e2e", "browser"} & set(item.path.relative_to(ROOT).parts):
            item.add_marker(pytest.mark.e2e)


@pytest.fixture
def root() -> Path:
    """The clone's top folder."""
    return ROOT


@pytest.fixture(autouse=True)
def _no_accounts(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No test reaches a real cloud, whatever credentials its developer has."""
    for name in ACCOUNTS:
        monkeypatch.delenv(name, raising=False)
    nothing = tmp_path_factory.getbasetemp() / "no-credentials"
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(nothing))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(nothing))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(nothing))


class Recorder:
    """Takes what the library tells, all the time, as few events wait in a socket; ``take`` ends that and gives all."""

    def __init__(self, path: Path) -> None:
        self._listener = events.Listener(path)
        self._taken: list[Mapping[str, Any]] = []
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def _listen(self) -> None:
        while not self._end.is_set():
            select.select([self._listener], [], [], 0.02)
            self._taken += self._listener.take()

    def take(self) -> list[Mapping[str, Any]]:
        self._end.set()
        self._thread.join()
        self._taken += self._listener.take()
        return self._taken

    def close(self) -> None:
        self.take()
        self._listener.close()


@pytest.fixture
def recorder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Recorder]:
    """Somebody who is told what the library tells a recorder."""
    path = tmp_path_factory.mktemp("recorder") / "events"
    listening = Recorder(path)
    monkeypatch.setenv(events.ADDRESS, str(path))
    yield listening
    listening.close()
