"""One file per figure; each tuple has its own in the order they are measured in."""

from bench.figures import (
    crowd,
    fan_out,
    file_list,
    file_search,
    idle_memory,
    live,
    message_list,
    process_start,
    session_list,
    session_memory,
    start,
    terminal,
    transfer,
    turn,
)

AGENT = (start, idle_memory, turn, session_memory, message_list, session_list, fan_out, live, crowd)
# The last one leaves 50,000 files behind.
WORKSPACE = (start, idle_memory, process_start, file_list, transfer, terminal, file_search)
