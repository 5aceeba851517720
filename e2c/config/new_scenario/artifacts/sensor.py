"""Sends readings of growing size to the server, and captures how long each took: python3 sensor.py HOST PORT."""

import os
import socket
import sys
import time

from provlight.data import Data
from provlight.task import Task
from provlight.workflow import Workflow

DATAFLOW, TRANSFORMATION = "edge_to_cloud", "transfer"
KILOBYTES = (1, 4, 16, 64, 256)
PATIENCE = 60


def connect(host, port):
    """The server may still be starting."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return socket.create_connection((host, port), timeout=PATIENCE)
        except ConnectionRefusedError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)


host, port = sys.argv[1], int(sys.argv[2])
with connect(host, port) as connection, Workflow(DATAFLOW):
    answers = connection.makefile()
    for number, kilobytes in enumerate(KILOBYTES, start=1):
        given = Data("transfer_input", DATAFLOW, [], {"sensor": socket.gethostname(), "kilobytes": kilobytes})
        with Task(number, DATAFLOW, TRANSFORMATION).begin([given]) as task:
            began = time.perf_counter()
            connection.sendall(b"%d\n" % (kilobytes * 1024) + os.urandom(kilobytes * 1024))
            answers.readline()
            seconds = time.perf_counter() - began
            task.generated(Data("transfer_output", DATAFLOW, [], {"seconds": seconds}))
            print(f"{kilobytes} KB took {seconds:.3f} s", flush=True)
    connection.sendall(b"done\n")
