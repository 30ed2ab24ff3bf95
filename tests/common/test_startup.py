"""Libraries are imported without the garbage collector, which is on again afterwards."""

from __future__ import annotations

import contextlib
import gc
import importlib

from fairgen.common.collector import uncollected_imports


def test_the_collector_is_off_inside_and_on_afterwards() -> None:
    assert gc.isenabled()
    with uncollected_imports():
        assert not gc.isenabled()
        with uncollected_imports():  # one that lies within another leaves the end to it
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()


def test_the_collector_is_on_after_an_import_that_failed() -> None:
    with contextlib.suppress(ModuleNotFoundError), uncollected_imports():
        importlib.import_module("fairgen.no_such_module")
    assert gc.isenabled()


def test_a_collector_that_was_off_stays_off() -> None:
    gc.disable()
    try:
        with uncollected_imports():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
