"""A sweep's jobs run in a process of their own: `python -m mnist_vae.sweeps.worker_process`, started by workers.Worker.

It outlives its jobs, so torch and Lightning are imported once; and what kills it, such as the want of memory, kills
one job and not the sweep. Requests and answers are pickles on stdin and stdout.
"""

import faulthandler
import gc
import importlib
import logging
import logging.config
import os
import pickle
import queue
import signal
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from mnist_vae.config.error_messages import describe


def main() -> None:
    """Answer requests until stdin ends."""
    requests: queue.Queue[dict[str, Any]] = queue.Queue()
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    threading.Thread(target=_read, args=(sys.stdin.buffer, requests), daemon=True).start()
    while True:
        request = requests.get()
        _output_to(Path(request["folder"]) / "train.log")
        answer = _answer(request)
        _output_to(Path(os.devnull))
        gc.collect()  # a trainer and its callbacks hold one another; the next job needs the memory
        pickle.dump(answer, answers)
        answers.flush()


def _read(stdin: IO[bytes], requests: "queue.Queue[dict[str, Any]]") -> None:
    """Hand requests on; when stdin ends, whoever wanted the answers is gone, and so is everything started here."""
    with suppress(EOFError, OSError):
        sys.path[:] = pickle.load(stdin)
        while True:
            requests.put(pickle.load(stdin))
    os.killpg(0, signal.SIGKILL) if os.getpgrp() == os.getpid() else os._exit(1)


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    try:
        logging.config.dictConfig(request["logging"])
        module, _, name = request["function"].rpartition(".")
        function = getattr(importlib.import_module(module), name)
        return {"result": function(request["cfg"], request["folder"], request["hydra"], wait=True)}
    except BaseException as error:
        return {"failure": describe(error)}


def _output_to(path: Path) -> None:
    """Send what is printed, by Python or below it, to the end of a file."""
    sys.stdout.flush()
    sys.stderr.flush()
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.close(file)


if __name__ == "__main__":
    faulthandler.enable()
    main()
