"""One file per figure; `ALL` has them in the order they are measured in."""

from bench.figures import (
    crowd,
    fan_out,
    file_list,
    idle_memory,
    live,
    message_list,
    session_list,
    session_memory,
    start,
    transfer,
    turn,
)

ALL = (start, idle_memory, turn, session_memory, message_list, session_list, file_list, transfer, fan_out, live, crowd)
