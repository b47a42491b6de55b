"""The second wall of the sandbox: a system call filter against namespaces, mounts, tracing, TIOCSTI and odd sockets."""

from __future__ import annotations

import errno
import os
import platform
import struct
from dataclasses import dataclass

ALLOW = 0x7FFF0000
REFUSE = 0x00050000 | errno.EPERM
UNKNOWN = 0x00050000 | errno.ENOSYS
NO_FAMILY = 0x00050000 | errno.EAFNOSUPPORT
LOAD, EQUAL, AT_LEAST, ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
NUMBER, ARCHITECTURE, FIRST_ARGUMENT, SECOND_ARGUMENT = 0, 4, 16, 24
NEW_NAMESPACES = 0x7E020000
TIOCSTI, TIOCLINUX = 0x5412, 0x541C
CLONE3 = 435
X32_BIT = 0x40000000
# Unspecified, Unix, IPv4, IPv6, netlink. Others are no command's business, and VSOCK leads to the machine that this one
# runs in, and from one command to the next, past the walls of its network.
FAMILIES = (0, 1, 2, 10, 16)
# io_uring_* | open_tree move_mount fsopen fsconfig fsmount fspick mount_setattr
COMMON = (425, 426, 427, 428, 429, 430, 431, 432, 433, 442)


@dataclass(frozen=True)
class _Machine:
    """System call numbers of one architecture; `refused` in the order of the x86_64 list below."""

    audit: int
    clone: int
    ioctl: int
    socket: int
    refused: tuple[int, ...]


# ptrace process_vm_readv process_vm_writev kcmp | bpf perf_event_open userfaultfd |
# add_key request_key keyctl | mount umount2 pivot_root unshare setns open_by_handle_at |
# kexec_load kexec_file_load init_module finit_module delete_module | swapon swapoff reboot acct quotactl
MACHINES = {
    "x86_64": _Machine(0xC000003E, 56, 16, 41, (
        101, 310, 311, 312, 321, 298, 323, 248, 249, 250, 165, 166, 155, 272, 308, 304, 246, 320, 175, 313,
        176, 167, 168, 169, 163, 179)),
    "aarch64": _Machine(0xC00000B7, 220, 29, 198, (
        117, 270, 271, 272, 280, 241, 282, 217, 218, 219, 40, 39, 41, 97, 268, 265, 104, 294, 105, 273, 106,
        224, 225, 142, 89, 60)),
}  # fmt: skip


def program() -> bytes:
    """The filter as classic BPF for this machine; empty on an architecture we have no numbers for."""
    machine = MACHINES.get(platform.machine())
    if machine is None:
        return b""
    code = [(LOAD, 0, 0, ARCHITECTURE), (EQUAL, 1, 0, machine.audit), (RETURN, 0, 0, REFUSE)]
    code += [(LOAD, 0, 0, NUMBER)]
    if platform.machine() == "x86_64":
        code += [(AT_LEAST, 0, 1, X32_BIT), (RETURN, 0, 0, REFUSE)]
    for number in (*machine.refused, *COMMON):
        code += [(EQUAL, 0, 1, number), (RETURN, 0, 0, REFUSE)]
    code += [(EQUAL, 0, 1, CLONE3), (RETURN, 0, 0, UNKNOWN)]  # flags in memory; libc falls back to clone
    code += [(EQUAL, 0, 4, machine.clone), (LOAD, 0, 0, FIRST_ARGUMENT), (ANY_BIT, 0, 1, NEW_NAMESPACES),
             (RETURN, 0, 0, REFUSE), (RETURN, 0, 0, ALLOW)]  # fmt: skip
    code += [(EQUAL, 0, len(FAMILIES) + 3, machine.socket), (LOAD, 0, 0, FIRST_ARGUMENT)]
    code += [(EQUAL, len(FAMILIES) - at, 0, family) for at, family in enumerate(FAMILIES)]
    code += [(RETURN, 0, 0, NO_FAMILY), (RETURN, 0, 0, ALLOW)]
    code += [(EQUAL, 0, 4, machine.ioctl), (LOAD, 0, 0, SECOND_ARGUMENT), (EQUAL, 1, 0, TIOCSTI),
             (EQUAL, 0, 1, TIOCLINUX), (RETURN, 0, 0, REFUSE)]  # fmt: skip
    return b"".join(struct.pack("=HBBI", *step) for step in [*code, (RETURN, 0, 0, ALLOW)])


def descriptor() -> int | None:
    """A descriptor to read the filter from (the caller closes it), or None where we have no filter."""
    text = program()
    if not text:
        return None
    fd = os.memfd_create("seccomp")
    os.write(fd, text)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd
