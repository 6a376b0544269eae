"""Starts an emulator of AWS for a test: `emulators.py FOLDER ministack` or `emulators.py FOLDER dynoxide PROGRAM`.

It writes its files to FOLDER, which is this emulator's alone, and removes it when it ends by itself.
Prints `ready ADDRESS CONTROL_PORT` once it answers, and ends when its standard input is closed, however the test ended.
ministack's clock can be moved: a line with a number of seconds, sent to the control port, is answered with `ok`. After the line
`hold` it moves only so: however slow the machine is, nothing falls due that a test has not let fall due. Who waits for messages
does so by the machine's clock all the same, and hears in the end that there are none.
"""

import asyncio
import functools
import os
import shutil
import socket
import subprocess
import sys
import threading
import time

REAL_TIME = time.time
# How often a wait for messages looks whether there are any.
LOOK_INTERVAL_S = 0.1
EXPRESSIONS_KEPT = 1024
offset_s = 0.0
held_s = None


def moved_time():
    return (REAL_TIME() if held_s is None else held_s) + offset_s


def wait_in_real_time(handlers):
    """Ends the waits of ReceiveMessage by the machine's clock: by the one that is held they would never end."""
    receive_now = handlers["ReceiveMessage"]

    async def receive(data, queue_url):
        deadline = time.monotonic() + int(data.get("WaitTimeSeconds") or 0)
        while True:
            answer = await receive_now({**data, "WaitTimeSeconds": 0}, queue_url)
            if answer.get("Messages") or time.monotonic() >= deadline:
                return answer
            await asyncio.sleep(LOOK_INTERVAL_S)

    handlers["ReceiveMessage"] = receive


def read_expressions_once(dynamodb):
    """Keeps what the reading of an expression gave. It follows from its text alone, and ministack reads it anew for each item: half
    of its processor time in the contract went into that."""
    read_tokens = functools.lru_cache(EXPRESSIONS_KEPT)(dynamodb._tokenize)
    # A list of its own for each, which it may change.
    dynamodb._tokenize = lambda expression: list(read_tokens(expression))
    dynamodb._condition_syntax_error = functools.lru_cache(EXPRESSIONS_KEPT)(dynamodb._condition_syntax_error)


def own_address():
    """An address that nobody takes before the emulator does. On Linux all of 127.0.0.0/8 is this machine."""
    if sys.platform == "linux":
        pid = os.getpid()
        return f"127.{128 | pid >> 16 & 63}.{pid >> 8 & 255}.{pid & 255}", 4566
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()


def end_with_the_test(folder, child=None):
    sys.stdin.buffer.read()
    if child is not None:
        child.kill()
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(0)


def control(listener):
    global offset_s, held_s
    while True:
        connection, _ = listener.accept()
        with connection, connection.makefile("rw") as lines:
            for line in lines:
                if line.strip() == "hold":
                    held_s = REAL_TIME()
                else:
                    offset_s += float(line)
                lines.write("ok\n")
                lines.flush()


def tell_when_ready(host, port, control_port):
    for _ in range(3600):
        try:
            socket.create_connection((host, port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
            continue
        print(f"ready {host}:{port} {control_port}", flush=True)
        return
    os._exit(1)


def main():
    folder, kind, *program = sys.argv[1:]
    # ministack names a file after its port, which all of these have in common: one that belongs to another user keeps it from starting.
    os.environ.update(TMPDIR=folder, STATE_DIR=folder)
    host, port = own_address()
    in_background = lambda work, *arguments: threading.Thread(target=work, args=arguments, daemon=True).start()
    if kind == "dynoxide":
        command = [*program, "serve", "--host", host, "--port", str(port)]
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        in_background(end_with_the_test, folder, child)
        tell_when_ready(host, port, 0)
        sys.exit(child.wait())
    listener = socket.create_server(("127.0.0.1", 0))
    in_background(end_with_the_test, folder)
    in_background(control, listener)
    in_background(tell_when_ready, host, port, listener.getsockname()[1])
    os.environ.update(BIND_HOST=host, GATEWAY_PORT=str(port), IOT_MTLS_ENABLED="0", LOG_LEVEL="ERROR")
    time.time = moved_time
    from ministack.app import main as ministack
    from ministack.services import dynamodb, sqs

    wait_in_real_time(sqs._HANDLERS)
    read_expressions_once(dynamodb)
    sys.argv = ["ministack"]
    ministack()


if __name__ == "__main__":
    main()
