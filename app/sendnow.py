"""Sending what a client takes at once, without handing the interpreter to somebody else.

`socket.send` gives the interpreter's lock up, although the kernel only copies the bytes, and waits to get it back:
beside threads that compute, up to 5 ms each time. Who sends one fact to 500 streams waits 500 times, which is what
"to the last stream" then takes. A send that never blocks needs none of that.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket

# PyDLL, unlike CDLL, keeps the lock during the call.
_libc = ctypes.PyDLL(None, use_errno=True)
_send = _libc.send
_send.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_int)
_send.restype = ctypes.c_ssize_t
_LATER = (errno.EAGAIN, errno.EWOULDBLOCK, errno.EINTR)


def send_now(sock: socket.socket, data: bytes) -> int:
    """How many bytes the connection took, 0 if it takes none now; OSError if it is gone. It never waits."""
    count = int(_send(sock.fileno(), data, len(data), socket.MSG_DONTWAIT))
    if count >= 0:
        return count
    number = ctypes.get_errno()
    if number in _LATER:
        return 0
    raise OSError(number, os.strerror(number))
