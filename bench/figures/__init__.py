"""One file per figure; `ALL` has them in the order they are measured in."""

from bench.figures import memory, message_list, session_list, start, turn

ALL = (start, memory, turn, message_list, session_list)
