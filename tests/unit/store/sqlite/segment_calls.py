"""The system's calls as segments make them, some of them another way."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

from multiconnect.store.sqlite import segment_file, segment_reader


class Calls:
    """`os`, except for what is given."""

    def __init__(self, **others: Callable[..., Any]) -> None:
        self.__dict__.update(others)

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)


def refuse(number: int) -> Callable[..., Any]:
    """Return a call that fails with an error of the system."""

    def call(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    return call


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return what puts other calls in the place of the system's; none given: the system's."""

    def put(**others: Callable[..., Any]) -> None:
        for module in (segment_file, segment_reader):
            monkeypatch.setattr(module, "os", Calls(**others))

    return put
