"""Sheets: a block once more, sealed, counted, and gone with its block."""

from __future__ import annotations

import os
import socket

import pytest

from edge.cache.memory import ENTRY_OVERHEAD, SHEETS_SHARE, Memory
from edge.cache.sheet import IS_THERE, Sheet

pytestmark = pytest.mark.skipif(not IS_THERE, reason="no memfd here: bytes are copied, as everywhere else")
DATA = bytes(range(256)) * 4096


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_a_sheet_is_sent_and_cannot_be_changed() -> None:
    """What the socket takes is the bytes; nobody writes, shrinks or grows them any more."""
    sheet = Sheet(DATA)
    try:
        with pytest.raises(PermissionError):
            os.pwrite(sheet.fd, b"x", 0)
        for size in (1, len(DATA) * 2):
            with pytest.raises(PermissionError):
                os.ftruncate(sheet.fd, size)
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.setblocking(False)
            assert sheet.send(ours.fileno(), 1000, 5000) == 5000
            assert theirs.recv(5000, socket.MSG_WAITALL) == DATA[1000:6000]
            while sheet.send(ours.fileno(), 0, len(DATA)):
                pass  # until it is full: then it says 0, and raises nothing
    finally:
        sheet.close()


def test_sheets_have_a_share_and_leave_with_their_blocks() -> None:
    """They count in the budget, past their share there are none, and no descriptor is left."""
    before = descriptors()
    budget = 16 * (len(DATA) + ENTRY_OVERHEAD)
    memory: Memory[int, bytes] = Memory(budget)
    for key in range(10):
        memory.put(key, DATA, len(DATA))
    sheets = []
    for key in range(10):
        slot = memory.slot(key)
        assert slot is not None
        sheets.append(memory.write_sheet(slot, DATA))
        assert memory.write_sheet(slot, DATA) is slot.sheet
    made = [sheet for sheet in sheets if sheet is not None]
    assert len(made) == budget // SHEETS_SHARE // len(DATA)
    assert memory.sheets == len(made) * len(DATA)
    assert memory.bytes == 10 * (len(DATA) + ENTRY_OVERHEAD) + memory.sheets <= budget
    assert descriptors() == before + len(made)
    memory.drop(0)
    assert descriptors() == before + len(made) - 1
    for key in range(100, 130):
        memory.put(key, DATA, len(DATA))
        assert memory.bytes <= budget
    memory.clear()
    assert (memory.bytes, memory.sheets, descriptors()) == (0, 0, before)


def test_a_block_that_has_left_gets_no_sheet() -> None:
    """Nothing would close it."""
    memory: Memory[int, bytes] = Memory(1 << 24)
    memory.put(1, DATA, len(DATA))
    slot = memory.slot(1)
    memory.drop(1)
    assert slot is not None
    assert memory.write_sheet(slot, DATA) is None
