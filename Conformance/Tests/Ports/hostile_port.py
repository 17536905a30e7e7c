"""A port that speaks the protocol, and misbehaves in one named way when it is asked for 4 tokens. For any other size it answers zeros.

    python3 hostile_port.py MODE [FILE]
"""
import json
import os
import signal
import struct
import subprocess
import sys
import time

mode = sys.argv[1]


def say(text):
    sys.stdout.write(text)
    sys.stdout.flush()


def reply(**fields):
    say(json.dumps(fields) + "\n")


def file_of(tensors):
    header, data = {}, b""
    for name, dtype, shape, payload in tensors:
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(payload)]}
        data += payload
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def zeros(config, heads):
    shape = [config["batch"], config["tokens"], heads, config["headDim"]]
    count = shape[0] * shape[1] * shape[2] * shape[3]
    return "F32", shape, b"\0" * (4 * count)


def write(path, content):
    with open(path, "wb") as file:
        file.write(content)


def sleeper():
    """A child that outlives its parent unless somebody ends it, in a session of its own and with no pipe of ours."""
    nothing = subprocess.DEVNULL
    subprocess.Popen(["sleep", "1000"], stdin=nothing, stdout=nothing, stderr=nothing, start_new_session=True)


def misbehave(request):
    """Returns whether the answer is complete."""
    number, path = request["id"], request["outputs"]
    config = request["config"]
    dtype, shape, payload = zeros(config, config["heads"])
    if mode == "hang":
        time.sleep(1000)
    elif mode == "hang-ignoring-signals":
        for caught in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(caught, signal.SIG_IGN)
        time.sleep(1000)
    elif mode == "exit":
        print("the last words", file=sys.stderr)
        sys.exit(3)
    elif mode == "segfault":
        os.kill(os.getpid(), signal.SIGSEGV)
    elif mode == "flood":
        while True:
            say("x" * 65536)
    elif mode == "flood-lines":
        while True:
            say("{}\n" * 10000)
    elif mode == "flood-stderr":
        for _ in range(200):
            sys.stderr.write("e" * 65536)
        reply(id=number, ok=False, error="after 13 MB of stderr")
    elif mode == "garbage":
        say("Loading model... 100%\n")
    elif mode == "binary":
        sys.stdout.buffer.write(b"\xff\xfe\x00\x80\n")
        sys.stdout.buffer.flush()
    elif mode == "surrogate":
        say('{"id":%d,"ok":false,"error":"\\ud800"}\n' % number)
    elif mode == "array":
        say("[1,2,3]\n")
    elif mode == "deep":
        say("[" * 100000 + "\n")
    elif mode == "wrong-id":
        reply(id=number + 1, ok=True)
    elif mode == "text-id":
        reply(id=str(number), ok=True)
    elif mode == "no-ok":
        reply(id=number)
    elif mode == "no-reason":
        reply(id=number, ok=False)
    elif mode == "partial-line":
        say('{"id":%d,"ok":tr' % number)
        os._exit(0)
    elif mode == "error":
        reply(id=number, ok=False, error="ValueError: q_len 7")
    elif mode == "unsupported":
        reply(id=number, ok=False, unsupported="odd moons")
    elif mode == "close-stdin":
        reply(id=number, ok=False, error="closing stdin now")
        os.close(0)
        time.sleep(1000)
    elif mode == "no-file":
        reply(id=number, ok=True)
    elif mode == "empty-file":
        write(path, b"")
        reply(id=number, ok=True)
    elif mode == "directory":
        os.mkdir(path)
        write(os.path.join(path, "inside"), b"x")
        reply(id=number, ok=True)
    elif mode == "fifo":
        os.mkfifo(path)
        reply(id=number, ok=True)
    elif mode == "device":
        os.symlink("/dev/zero", path)
        reply(id=number, ok=True)
    elif mode == "truncated":
        write(path, file_of([("o", dtype, shape, payload)])[:-8])
        reply(id=number, ok=True)
    elif mode == "huge-header":
        write(path, struct.pack("<Q", 100 << 30) + b"{}")
        reply(id=number, ok=True)
    elif mode == "huge-file":
        with open(path, "wb") as file:
            file.truncate(100 << 30)
        reply(id=number, ok=True)
    elif mode == "wrong-shape":
        write(path, file_of([("o", dtype, [shape[0], shape[2], shape[1], shape[3]], payload)]))
        reply(id=number, ok=True)
    elif mode == "wrong-dtype":
        write(path, file_of([("o", "F64", shape, payload * 2)]))
        reply(id=number, ok=True)
    elif mode == "wrong-name":
        write(path, file_of([("out", dtype, shape, payload)]))
        reply(id=number, ok=True)
    elif mode == "orphan":
        sleeper()
        sys.exit(0)
    elif mode == "litter":
        for name in ("a.tmp", "b.tmp"):
            write(os.path.join(os.path.dirname(path), name), b"x")
        os.mkdir(os.path.join(os.path.dirname(path), "cache"))
        reply(id=number, ok=False, error="left files behind")
    elif mode == "two-lines":
        write(path, file_of([("o", dtype, shape, payload)]))
        reply(id=number, ok=True)
        say("done!\n")
    else:
        return False
    return True


def main():
    if mode == "slow-start":
        time.sleep(1000)
    if mode == "dies-at-start":
        sys.exit("no module named torch")
    if mode == "starts-once":
        with open(sys.argv[2], "a") as log:
            log.write("x")
        if os.path.getsize(sys.argv[2]) > 1:
            sys.exit(5)
    if mode == "orphan-at-start":
        sleeper()
    for line in sys.stdin:
        request = json.loads(line)
        if request["op"] == "describe":
            capabilities = {
                "ops": ["forward", "sideways"], "dtypes": ["f32"], "masks": ["Split", "LocalCausal"], "ragged": True,
                "somethingNew": {"a": 1}}
            if mode == "bad-declaration":
                capabilities["gqa"] = "yes"
            if mode == "no-capabilities":
                reply(id=request["id"], ok=True, name="hostile")
            else:
                reply(id=request["id"], ok=True, name="hostile " + mode, language="python", version="1", extra=[1], capabilities=capabilities)
        elif request["op"] == "shutdown":
            if mode == "ignores-shutdown":
                time.sleep(1000)
            return
        else:
            if mode == "exits-silently-between-cases" and request["config"]["tokens"] == 4:
                write(request["outputs"], file_of([("o", *zeros(request["config"], request["config"]["heads"]))]))
                reply(id=request["id"], ok=True)
                os._exit(0)
            if mode == "starts-once":
                sys.exit(4)
            if request["config"]["tokens"] == 4 and misbehave(request):
                continue
            write(request["outputs"], file_of([("o", *zeros(request["config"], request["config"]["heads"]))]))
            reply(id=request["id"], ok=True, tookMs=0)


main()
