"""A job's process made ahead of need: forked, and prepared as far as no job is known, it waits for one.

It holds nothing of any other job and is used once, like every job's process. All that it saves is the time a
job would have waited for the same work. One killed in the instant between being given a job and beginning it
counts as that job's end.
"""

import contextlib
import json
import os
import socket

from millpond.runtimes.python import job_process, protocol
from millpond.runtimes.sandbox.confinement import Confinement


class Spare:
    """The zygote's side: `number` is the process's, `channel` leads to it."""

    def __init__(self, number: int, channel: socket.socket) -> None:
        self.number = number
        self._channel = channel

    def assign(self, request: protocol.Request, files: protocol.JobFiles) -> bool:
        """Give it the job, and let go of it; False when it has died."""
        order = protocol.encode(request)
        with self._channel:
            try:
                return self._channel.sendmsg([order], protocol.rights(files)) == len(order)
            except (BrokenPipeError, ConnectionResetError):
                return False

    def dismiss(self) -> None:
        """Have it end: no job will come."""
        # Closing would not do: a supervisor between the two has a copy of this end.
        with contextlib.suppress(OSError):  # it has ended already
            self._channel.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Let go of one that has ended."""
        self._channel.close()


def wait(channel: socket.socket, confinement: Confinement) -> job_process.Assignment:
    """The spare's side: prepare, then wait for a job; ends the process when none can come any more."""
    with contextlib.suppress(OSError):  # what fails now fails again when there is a job to report it
        confinement.prepare()
    job_process.rehearse()
    with channel:
        received = protocol.receive(channel)
    if received is None:
        os._exit(0)
    request: protocol.Request = json.loads(received[0])
    return job_process.Assignment(protocol.JobFiles(*received[1]), request.get("user_id"))
