# Do many threads, forks, Ctrl-C and a full store of plans do no harm?
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import torch

import s2attn
from s2attn._plans import PLANS


def inputs(tokens=48, seed=0):
    torch.manual_seed(seed)
    return [torch.randn(1, tokens, 2, 16) for _ in range(3)]


def attend(q, k, v):
    return s2attn.s2_attn_func(q, k, v, 16, mask="split")


def test_many_threads_at_once_get_their_own_answers():
    cases = [inputs(16 * (1 + index % 3), index) for index in range(12)]
    expected = [attend(*case) for case in cases]
    wrong = []

    def work(index):
        for _ in range(40):
            leaves = [x.clone().requires_grad_() for x in cases[index]]
            o = attend(*leaves)
            o.sum().backward()
            if not torch.equal(o, expected[index]):
                wrong.append(index)

    threads = [threading.Thread(target=work, args=(index,)) for index in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    assert not wrong


def test_the_store_of_plans_is_bounded():
    s2attn.set_plan_cache(3)
    for tokens in range(16, 16 * 12, 16):
        attend(*inputs(tokens))
        assert PLANS.idle <= 3
    s2attn.set_plan_cache(0)
    assert PLANS.idle == 0
    assert attend(*inputs()).isfinite().all() and PLANS.idle == 0


def test_a_plan_is_used_again():
    s2attn.set_plan_cache(0)
    s2attn.set_plan_cache(16)
    for _ in range(5):
        attend(*inputs())
    assert PLANS.idle == 1
    leaves = [x.requires_grad_() for x in inputs()]
    attend(*leaves).backward(torch.ones(1, 48, 2, 16))
    assert PLANS.idle == 1              # a dense do needs no other plan


def test_a_refused_plan_leaves_none_behind():
    before = PLANS.idle
    with pytest.raises(ValueError):
        s2attn.s2_attn_func(*inputs(), 0.3, mask="split")
    assert PLANS.idle == before


class Reading(torch.utils.data.Dataset):
    """A data set whose workers attend, as one that augments or filters with a model does."""

    def __len__(self):
        return 8

    def __getitem__(self, index):
        return attend(*inputs(seed=index))


def test_data_loaders_that_fork_get_the_same_answers():
    s2attn.set_threads(2)
    expected = [attend(*inputs(seed=index)) for index in range(8)]
    for _ in range(2):                  # with idle plans alive in the parent
        loader = torch.utils.data.DataLoader(Reading(), batch_size=None, num_workers=2, timeout=60, multiprocessing_context="fork")
        for mine, theirs in zip(expected, loader):
            assert torch.equal(mine, theirs)
    assert torch.equal(attend(*inputs(seed=0)), expected[0])


def ended(child, seconds=60):
    """The exit code of a child; one that hangs is killed."""
    deadline = time.monotonic() + seconds
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            pytest.fail("the child hangs")
        time.sleep(0.01)


def in_a_child(task):
    """The exit code of a forked child that does a task: 0 where it returns."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            task()
            code = 0
        finally:
            os._exit(code)
    return ended(child)


def test_threads_of_a_child_take_no_memory_of_threads_that_it_lacks():
    # They have attended, live, and do nothing; the library's runtime knows them still in the child, where each new plan may make it look.
    s2attn.set_threads(2)
    arrays = [x.numpy() for x in inputs()]
    expected, attended, stop = s2attn.s2_attn_func(*arrays, 16, mask="split"), threading.Barrier(5), threading.Event()

    def attend_often(times=60):
        for _ in range(times):
            s2attn.set_plan_cache(0)
            assert np.array_equal(s2attn.s2_attn_func(*arrays, 16, mask="split"), expected)

    def stay():
        attend_often(1)
        attended.wait(60)
        stop.wait()

    def attend_in_threads():
        for thread in start(4, attend_often):
            thread.join()
        attend_often()

    def start(count, target):
        threads = [threading.Thread(target=target, daemon=True) for _ in range(count)]
        for thread in threads:
            thread.start()
        return threads

    idle = start(4, stay)
    attended.wait(60)
    try:
        for _ in range(3):
            assert in_a_child(attend_in_threads) == 0
    finally:
        stop.set()
        for thread in idle:
            thread.join()
        s2attn.set_plan_cache(16)


def test_a_fork_while_other_threads_attend_never_hangs():
    s2attn.set_threads(2)
    arrays = [x.numpy() for x in inputs()]
    expected, stop = s2attn.s2_attn_func(*arrays, 16, mask="split"), threading.Event()

    def work():
        while not stop.is_set():
            s2attn.s2_attn_func(*arrays, 16, mask="split")

    def attend():
        assert np.array_equal(s2attn.s2_attn_func(*arrays, 16, mask="split"), expected)

    workers = [threading.Thread(target=work) for _ in range(3)]
    for worker in workers:
        worker.start()
    try:
        for _ in range(10):
            assert in_a_child(attend) == 0
    finally:
        stop.set()
        for worker in workers:
            worker.join()


def run(code, *, stop_after=None):
    """A Python of its own; with stop_after, one that gets Ctrl-C some seconds after it printed its first line."""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        first = process.stdout.readline()
        if stop_after is not None:
            time.sleep(stop_after)
            process.send_signal(signal.SIGINT)
        out, error = process.communicate(timeout=60)
        return process.returncode, first + out, error
    finally:
        process.kill()


def test_ctrl_c_ends_a_loop_of_calls_with_keyboard_interrupt():
    # A shell in the background, and some test runners, start their children with Ctrl-C ignored.
    code, _, error = run("import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\nimport numpy as np, s2attn\nx = np.zeros((1, 4096, 2, 64), np.float32)\ns2attn.s2_attn_func(x, x, x, 1024, mask='split')\nprint('ready', flush=True)\n"
                         "while True: s2attn.s2_attn_func(x, x, x, 1024, mask='split')", stop_after=0.3)
    assert code == -signal.SIGINT and "KeyboardInterrupt" in error


def test_numpy_alone_is_enough():
    code, out, error = run("import sys; sys.modules['torch'] = None\nimport numpy as np, s2attn\nx = np.ones((1, 8, 2, 4), np.float32)\n"
                           "print((s2attn.s2_attn_func(x, x, x, 4, mask='split') == 1).all(), 'transformers' in sys.modules)")
    assert (code, out.strip()) == (0, "True False"), error


def test_importing_the_package_does_not_import_torch():
    code, out, error = run("import sys, s2attn; print('torch' in sys.modules, 'numpy' in sys.modules)")
    assert (code, out.strip()) == (0, "False False"), error


def test_a_missing_library_says_what_to_do():
    code, _, error = run("import os; os.environ['S2ATTN_LIBRARY'] = '/nowhere/libs2attn.so'\nimport s2attn")
    assert code == 1 and "there is no /nowhere/libs2attn.so" in error and "S2ATTN_LIBRARY" in error
    code, _, error = run("import os; os.environ['S2ATTN_LIBRARY'] = os.__file__\nimport s2attn")
    assert code == 1 and "ImportError" in error and "cannot be used" in error


def test_an_unknown_instruction_set_is_told():
    code, _, error = run("import os; os.environ['S2ATTN_ISA'] = 'pentium'\nimport numpy as np, s2attn\nx = np.ones((1, 8, 2, 4), np.float32)\ns2attn.s2_attn_func(x, x, x, 4, mask='split')")
    assert code == 1 and "pentium" in error and "Traceback" in error


def test_the_interpreter_ends_cleanly_with_plans_and_threads_alive():
    code, out, error = run("import numpy as np, s2attn, threading\ns2attn.set_threads(4)\nx = np.ones((1, 64, 2, 4), np.float32)\n"
                           "t = [threading.Thread(target=s2attn.s2_attn_func, args=(x, x, x, 16), kwargs={'mask': 'split'}) for _ in range(4)]\n[i.start() for i in t]; [i.join() for i in t]\nprint('done')")
    assert (code, out.strip(), error) == (0, "done", "")
