import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from moe_lab.errors import StorageError
from moe_lab.store.disk import Disk
from moe_lab.store.lock import InUseError, Lock, is_locked
from moe_lab.store.system import System

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


class Replacing(System):
    """Another process removes the lock file and makes it again, just after it was opened."""

    def extend(self, path: Path) -> int:
        descriptor = super().extend(path)
        path.unlink()
        path.touch()
        return descriptor


def test_a_lock_on_a_file_that_is_gone_is_none(tmp_path: Path) -> None:
    before = len(list(Path("/dev/fd").iterdir()))
    with pytest.raises(InUseError):
        Lock(tmp_path, Disk(Replacing()))
    with pytest.raises(InUseError):
        Lock(tmp_path / "gone")
    assert len(list(Path("/dev/fd").iterdir())) == before  # no descriptor is left open
    with closing(Lock(tmp_path)):
        assert is_locked(tmp_path)


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
