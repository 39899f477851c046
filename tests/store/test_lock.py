import subprocess
import sys
from pathlib import Path

import pytest

from moe_lab.errors import StorageError
from moe_lab.store.lock import Lock, is_locked

HOLD = """
import sys, pathlib
from moe_lab.store.lock import Lock
lock = Lock(pathlib.Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def test_a_second_writer_is_refused_at_once(tmp_path: Path) -> None:
    lock = Lock(tmp_path)
    with pytest.raises(StorageError, match="is in use by another process") as caught:
        Lock(tmp_path)
    assert caught.value.exit_code == 4
    lock.close()
    Lock(tmp_path).close()


def test_a_killed_holder_leaves_the_lock_free(tmp_path: Path) -> None:
    arguments = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == b"held\n"
        assert is_locked(tmp_path)
        with pytest.raises(StorageError):
            Lock(tmp_path)
        holder.kill()
    assert not is_locked(tmp_path)
    Lock(tmp_path).close()


def test_a_program_started_by_the_holder_does_not_keep_the_lock(tmp_path: Path) -> None:
    lock = Lock(tmp_path)
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, close_fds=False) as child:
        lock.close()
        assert not is_locked(tmp_path)
        child.kill()


def test_asking_creates_nothing(tmp_path: Path) -> None:
    assert not is_locked(tmp_path)
    assert list(tmp_path.iterdir()) == []
