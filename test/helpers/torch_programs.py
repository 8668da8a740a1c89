"""
Runs programs that need torch, each in a fork of this process, because importing torch takes longer than the programs.

Each input line is the list of arguments, starting with the path of the script. Each output line is the result:
{"code": 0, "stdout": "…", "stderr": "…"}
"""

import json
import os
import runpy
import sys
import tempfile
import traceback

import torch
import torch.distributed
import torch.nn.parallel  # noqa: F401

torch.set_num_threads(1)


def run(args):
    """Ends this process, as the program would have ended its own."""
    sys.argv = args
    sys.path[0] = os.path.dirname(args[0])
    code = 0
    try:
        runpy.run_path(args[0], run_name="__main__")
    except SystemExit as end:
        code = end.code or 0
        if isinstance(code, str):
            print(code, file=sys.stderr)
            code = 1
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


for line in sys.stdin:
    with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        child = os.fork()
        if child == 0:
            os.dup2(stdout.fileno(), 1)
            os.dup2(stderr.fileno(), 2)
            run(json.loads(line))
        _, status = os.waitpid(child, 0)
        texts = []
        for file in (stdout, stderr):
            file.seek(0)
            texts.append(file.read().decode())
    answer = {"code": os.waitstatus_to_exitcode(status), "stdout": texts[0], "stderr": texts[1]}
    print(json.dumps(answer), flush=True)
