"""A file system for power cuts: what was not synced is in a volatile cache, and a cut forgets it, page by page as
chance has it. It has one folder, speaks the kernel's FUSE protocol itself (fuse.h, version 7), and judges nothing.

A file's name is durable once the file or the folder was synced; an unlinked file may be back after a cut.
"""

import contextlib
import ctypes
import errno
import os
import random
import stat
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

PAGE = 4096
_DEVICE = "/dev/fuse"
_WRITE_OCTETS_MAX = 128 * 1024
_READ_OCTETS_MAX = _WRITE_OCTETS_MAX + 4096
_ROOT = 1
_SIZE_GIVEN = 1 << 3
_BIG_WRITES = 1 << 5
_NOSUID_NODEV = 2 | 4
_DETACH = 2


class NotMounted(Exception):
    """The machine does not let us have such a file system; the message says why."""


@dataclass(slots=True)
class File:
    """A file: what programs see, what a cut leaves, and which pages differ."""

    seen: bytearray = field(default_factory=bytearray)
    kept: bytes = b""
    dirty: set[int] = field(default_factory=set)
    named: bool = False
    """Whether its name is durable."""
    kind: int = stat.S_IFREG
    """What it is: a file, or a Unix socket's name."""

    def write(self, at: int, octets: bytes) -> None:
        """Write, to the cache."""
        end = at + len(octets)
        if len(self.seen) < end:
            self.dirty.update(range(len(self.seen) // PAGE, end // PAGE + 1))
            self.seen.extend(bytes(end - len(self.seen)))
        self.seen[at:end] = octets
        self.dirty.update(range(at // PAGE, (end - 1) // PAGE + 1))

    def resize(self, size: int) -> None:
        """Cut off or fill up with zeros, in the cache."""
        self.dirty.update(range(min(size, len(self.seen)) // PAGE, max(size, len(self.seen)) // PAGE + 1))
        del self.seen[size:]
        self.seen.extend(bytes(size - len(self.seen)))

    def sync(self) -> None:
        """Make all of it durable."""
        self.kept, self.named = bytes(self.seen), True
        self.dirty.clear()

    def forget(self, chance: random.Random) -> None:
        """Leave what was durable, and of the rest such pages as chance has it."""
        survived = bytearray(self.kept)
        for page in sorted(self.dirty):
            if chance.random() < 0.5:
                octets = self.seen[page * PAGE : (page + 1) * PAGE]
                survived.extend(bytes(max(0, page * PAGE + len(octets) - len(survived))))
                survived[page * PAGE : page * PAGE + len(octets)] = octets
        self.seen = survived
        self.sync()


class Forgetful:
    """The file system, mounted while it is used as a context manager."""

    def __init__(self, place: Path, seed: int) -> None:
        """Prepare to mount it at an empty folder."""
        self.synced = 0
        """How often something was synced."""
        self.forgotten = 0
        """Pages that were not durable at a cut."""
        self._place = place
        self._chance = random.Random(seed)
        self._files: dict[int, File] = {}
        self._names: dict[str, int] = {}
        self._ghosts: dict[str, File] = {}
        self._last = _ROOT
        self._turn = threading.Lock()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._mount()
        return self

    def __exit__(self, *_: object) -> None:
        self._unmount()

    def cut(self) -> None:
        """Cut the power; nobody may have a file open. Afterwards it is mounted again, with what was left."""
        self._unmount()
        with self._turn:
            for name, inode in list(self._names.items()):
                file = self._files[inode]
                self.forgotten += len(file.dirty)
                if not file.named and self._chance.random() < 0.5:
                    del self._names[name]
                    continue
                file.forget(self._chance)
            for name, ghost in self._ghosts.items():
                if name not in self._names and self._chance.random() < 0.5:
                    self._link(name, ghost)
                    ghost.forget(self._chance)
            self._ghosts.clear()
            kept = set(self._names.values())
            self._files = {inode: file for inode, file in self._files.items() if inode in kept}
        self._mount()

    def copy(self, name: str, to: Path) -> bool:
        """Write what programs see of a file to another place; tell whether it exists."""
        with self._turn:
            if name not in self._names:
                return False
            octets = bytes(self._files[self._names[name]].seen)
        to.write_bytes(octets)
        return True

    def _mount(self) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        try:
            device = os.open(_DEVICE, os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            raise NotMounted(f"cannot open {_DEVICE}: {error.strerror}") from error
        options = f"fd={device},rootmode=40000,user_id={os.geteuid()},group_id={os.getegid()}".encode()
        if libc.mount(b"forgetful", str(self._place).encode(), b"fuse", _NOSUID_NODEV, options):
            os.close(device)
            raise NotMounted(f"cannot mount a FUSE file system: {os.strerror(ctypes.get_errno())}")
        self._thread = threading.Thread(target=self._serve, args=(device,), daemon=True)
        self._thread.start()

    def _unmount(self) -> None:
        if self._thread is None:
            return
        libc = ctypes.CDLL(None, use_errno=True)
        libc.umount2(str(self._place).encode(), _DETACH)
        self._thread.join()
        self._thread = None

    def _serve(self, device: int) -> None:
        """Answer the kernel until it is unmounted."""
        try:
            while True:
                try:
                    request = os.read(device, _READ_OCTETS_MAX)
                except OSError as error:
                    if error.errno == errno.ENODEV:
                        return
                    if error.errno in {errno.EINTR, errno.ENOENT, errno.EAGAIN}:
                        continue
                    raise
                _, opcode, unique, node, *_ = struct.unpack_from("=IIQQIIII", request)
                if opcode in _UNANSWERED:
                    continue
                try:
                    with self._turn:
                        act = _ACTS.get(opcode)
                        answer = act(self, node, memoryview(request)[40:]) if act is not None else -errno.ENOSYS
                except FileNotFoundError:
                    answer = -errno.ENOENT
                status, octets = (answer, b"") if isinstance(answer, int) else (0, answer)
                with contextlib.suppress(FileNotFoundError):  # who asked was killed meanwhile
                    os.write(device, struct.pack("=IiQ", 16 + len(octets), status, unique) + octets)
        finally:
            os.close(device)

    def _link(self, name: str, file: File) -> int:
        self._last += 1
        self._files[self._last] = file
        self._names[name] = self._last
        return self._last

    def _file(self, node: int) -> File:
        if node not in self._files:
            raise FileNotFoundError
        return self._files[node]

    def _inode(self, name: str) -> int:
        if name not in self._names:
            raise FileNotFoundError
        return self._names[name]

    def _attributes(self, node: int) -> bytes:
        size, mode, links = 0, stat.S_IFDIR | 0o755, 2
        if node != _ROOT:
            size, mode, links = len(self._file(node).seen), self._file(node).kind | 0o600, 1
        times = (0,) * 6
        blocks = (size + 511) // 512
        return struct.pack(
            "=QQQQQQIIIIIIIIII", node, size, blocks, *times, mode, links, os.geteuid(), os.getegid(), 0, PAGE, 0
        )

    def _entry(self, node: int) -> bytes:
        return struct.pack("=QQQQII", node, 0, 0, 0, 0, 0) + self._attributes(node)

    def _init(self, _node: int, _body: memoryview) -> bytes:
        return struct.pack(
            "=IIIIHHIIHHI28x", 7, 31, _WRITE_OCTETS_MAX, _BIG_WRITES, 16, 12, _WRITE_OCTETS_MAX, 1, 0, 0, 0
        )

    def _lookup(self, _node: int, body: memoryview) -> bytes:
        return self._entry(self._inode(_name(body)))

    def _getattr(self, node: int, _body: memoryview) -> bytes:
        return struct.pack("=QII", 0, 0, 0) + self._attributes(node)

    def _setattr(self, node: int, body: memoryview) -> bytes:
        valid, _, _, size = struct.unpack_from("=IIQQ", body)
        if valid & _SIZE_GIVEN and node != _ROOT:
            self._file(node).resize(size)
        return self._getattr(node, body)

    def _create(self, _node: int, body: memoryview) -> bytes:
        node = self._link(_name(body[16:]), File())
        return self._entry(node) + struct.pack("=QII", 0, 0, 0)

    def _mknod(self, _node: int, body: memoryview) -> bytes:
        (mode,) = struct.unpack_from("=I", body)
        return self._entry(self._link(_name(body[16:]), File(kind=stat.S_IFMT(mode))))

    def _open(self, node: int, _body: memoryview) -> bytes:
        if node != _ROOT:
            self._file(node)
        return struct.pack("=QII", 0, 0, 0)

    def _read(self, node: int, body: memoryview) -> bytes:
        _, at, size = struct.unpack_from("=QQI", body)
        return bytes(self._file(node).seen[at : at + size])

    def _write(self, node: int, body: memoryview) -> bytes:
        _, at, size = struct.unpack_from("=QQI", body)
        self._file(node).write(at, bytes(body[40 : 40 + size]))
        return struct.pack("=II", size, 0)

    def _fsync(self, node: int, _body: memoryview) -> bytes:
        self.synced += 1
        self._file(node).sync()
        return b""

    def _fsyncdir(self, _node: int, _body: memoryview) -> bytes:
        for inode in self._names.values():
            self._files[inode].named = True
        self._ghosts.clear()
        return b""

    def _unlink(self, _node: int, body: memoryview) -> bytes:
        name = _name(body)
        file = self._files[self._inode(name)]
        del self._names[name]
        if file.named:
            self._ghosts[name] = file
        return b""

    def _rename(self, _node: int, body: memoryview) -> bytes:
        return self._renamed(body[8:])

    def _rename2(self, _node: int, body: memoryview) -> bytes:
        return self._renamed(body[16:])

    def _renamed(self, body: memoryview) -> bytes:
        old, new = bytes(body).split(b"\0")[:2]
        inode = self._inode(old.decode())
        del self._names[old.decode()]
        self._names[new.decode()] = inode
        return b""

    def _readdir(self, _node: int, body: memoryview) -> bytes:
        _, at, size = struct.unpack_from("=QQI", body)
        listed = b""
        for index, (name, inode) in enumerate(sorted(self._names.items())):
            entry = struct.pack("=QQII", inode, index + 1, len(name), stat.S_IFREG >> 12) + name.encode()
            entry += bytes(-len(entry) % 8)
            if index >= at and len(listed) + len(entry) <= size:
                listed += entry
        return listed

    def _statfs(self, _node: int, _body: memoryview) -> bytes:
        return struct.pack("=QQQQQIIII24x", 1 << 20, 1 << 20, 1 << 20, 1 << 20, 1 << 20, PAGE, 255, PAGE, 0)

    def _nothing(self, _node: int, _body: memoryview) -> bytes:
        return b""


def _name(body: memoryview) -> str:
    return bytes(body).split(b"\0", 1)[0].decode()


_UNANSWERED = frozenset({2, 36, 42})
_ACTS: dict[int, Callable[[Forgetful, int, memoryview], bytes | int]] = {
    1: Forgetful._lookup,
    3: Forgetful._getattr,
    4: Forgetful._setattr,
    8: Forgetful._mknod,
    10: Forgetful._unlink,
    12: Forgetful._rename,
    14: Forgetful._open,
    15: Forgetful._read,
    16: Forgetful._write,
    17: Forgetful._statfs,
    18: Forgetful._nothing,
    20: Forgetful._fsync,
    25: Forgetful._nothing,
    26: Forgetful._init,
    27: Forgetful._open,
    28: Forgetful._readdir,
    29: Forgetful._nothing,
    30: Forgetful._fsyncdir,
    35: Forgetful._create,
    38: Forgetful._nothing,
    45: Forgetful._rename2,
}
"""What the kernel asks, by its numbers."""
