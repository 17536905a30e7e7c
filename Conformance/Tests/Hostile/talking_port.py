"""A port that says exactly what it is told to, and then does one thing to the folder of its files.

    python3 talking_port.py '{"describe": {...}, "answer": {...}, "deed": "rmdir"}'

Answers zeros where no "answer" is given. Text may hold \\u escapes, so that it can say what no command line can.
"""
import json
import os
import shutil
import struct
import sys
import time

script = json.loads(sys.argv[1])
describe = {"name": "talker", "version": "1", "language": "python", "capabilities": {"ops": ["forward"], "dtypes": ["f32"], "masks": ["LocalCausal"]}}
describe.update(script.get("describe", {}))


def zeros(request):
    config = request["config"]
    shape = [config["batch"], config["tokens"], config["heads"], config["headDim"]]
    data = b"\0" * (4 * shape[0] * shape[1] * shape[2] * shape[3])
    header = json.dumps({"o": {"dtype": "F32", "shape": shape, "data_offsets": [0, len(data)]}}).encode()
    with open(request["outputs"], "wb") as file:
        file.write(struct.pack("<Q", len(header)) + header + data)


def do_the_deed(folder):
    deed = script.get("deed", "")
    if deed == "rmdir":
        shutil.rmtree(folder)
    elif deed == "file":
        shutil.rmtree(folder)
        with open(folder, "w") as file:
            file.write("a file where a folder was")
    elif deed == "link":
        shutil.rmtree(folder)
        os.symlink("/nowhere/at/all", folder)
    elif deed == "directories":
        for i in range(200):
            for name in (f"{i}.safetensors", f"{i}.out.safetensors"):
                os.makedirs(os.path.join(folder, name), exist_ok=True)
    elif deed == "sleep":
        with open(script["ready"], "w") as file:
            file.write(folder)
        time.sleep(1000)


for line in sys.stdin:
    request = json.loads(line)
    if request["op"] == "describe":
        print(json.dumps({"id": request["id"], "ok": True, **describe}), flush=True)
    elif request["op"] == "shutdown":
        break
    elif "answer" in script:
        print(json.dumps({"id": request["id"], **script["answer"]}), flush=True)
    else:
        zeros(request)
        reply = json.dumps({"id": request["id"], "ok": True})
        folder = os.path.dirname(request["outputs"])
        if script.get("deed") == "sleep":
            do_the_deed(folder)
        print(reply, flush=True)
        time.sleep(0.05)
        do_the_deed(folder)
