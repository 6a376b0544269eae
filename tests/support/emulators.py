"""Starts an emulator of AWS for a test: `emulators.py ministack` or `emulators.py dynoxide PROGRAM`.

Prints `ready PORT CONTROL_PORT` once it answers, and ends when its standard input is closed, however the test ended.
ministack's clock can be moved: a line with a number of seconds, sent to the control port, is answered with `ok`.
"""

import os
import socket
import subprocess
import sys
import threading
import time

REAL_TIME = time.time
offset_s = 0.0


def moved_time():
    return REAL_TIME() + offset_s


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def end_with_the_test(child=None):
    sys.stdin.buffer.read()
    if child is not None:
        child.kill()
    os._exit(0)


def control(listener):
    global offset_s
    while True:
        connection, _ = listener.accept()
        with connection, connection.makefile("rw") as lines:
            for line in lines:
                offset_s += float(line)
                lines.write("ok\n")
                lines.flush()


def tell_when_ready(port, control_port):
    for _ in range(600):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
            continue
        print(f"ready {port} {control_port}", flush=True)
        return
    os._exit(1)


def main():
    port = free_port()
    in_background = lambda work, *arguments: threading.Thread(target=work, args=arguments, daemon=True).start()
    if sys.argv[1] == "dynoxide":
        command = [sys.argv[2], "serve", "--host", "127.0.0.1", "--port", str(port)]
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        in_background(end_with_the_test, child)
        tell_when_ready(port, 0)
        sys.exit(child.wait())
    listener = socket.create_server(("127.0.0.1", 0))
    in_background(end_with_the_test)
    in_background(control, listener)
    in_background(tell_when_ready, port, listener.getsockname()[1])
    os.environ.update(BIND_HOST="127.0.0.1", GATEWAY_PORT=str(port), IOT_MTLS_ENABLED="0", LOG_LEVEL="ERROR")
    time.time = moved_time
    from ministack.app import main as ministack

    sys.argv = ["ministack"]
    ministack()


if __name__ == "__main__":
    main()
