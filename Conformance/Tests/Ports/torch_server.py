#!/usr/bin/env python3
"""Imports torch once for all ports of a test run, and forks one port from itself for each that is asked for: the import takes longer than the port's whole work.

    torch_server.py serve SOCKET                 says "ready", serves until its standard input ends
    torch_server.py run SOCKET SCRIPT [ARGS]     is that script: its standard streams are handed over, and it ends when the script ends
"""
import json
import os
import socket
import sys


def serve(path):
    import runpy
    import selectors
    import signal

    import torch

    torch.set_num_threads(1)                        # a process that has threads cannot be forked safely
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)   # ended ports are not waited for
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(16)
    print("ready", flush=True)
    selector = selectors.DefaultSelector()
    selector.register(listener, selectors.EVENT_READ)
    selector.register(sys.stdin, selectors.EVENT_READ)
    while all(key.fileobj is not sys.stdin for key, _ in selector.select()):
        caller, _ = listener.accept()
        with caller:
            message, streams, _, _ = socket.recv_fds(caller, 1 << 16, 3)
            if os.fork() == 0:
                listener.close()
                for standard, stream in enumerate(streams):
                    os.dup2(stream, standard)
                    os.close(stream)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                request = json.loads(message)
                os.chdir(request["folder"])
                sys.argv = request["arguments"]
                sys.path[0] = os.path.dirname(sys.argv[0])
                runpy.run_path(sys.argv[0], run_name="__main__")
                sys.exit()
            for stream in streams:
                os.close(stream)


def run(path, arguments):
    with socket.socket(socket.AF_UNIX) as server:
        server.connect(path)
        socket.send_fds(server, [json.dumps({"folder": os.getcwd(), "arguments": arguments}).encode()], [0, 1, 2])
        for stream in (0, 1):
            os.close(stream)                        # else the port's streams would outlive it here
        server.recv(1)                              # ends with the port, which holds the other end


if __name__ == "__main__":
    serve(sys.argv[2]) if sys.argv[1] == "serve" else run(sys.argv[2], sys.argv[3:])
