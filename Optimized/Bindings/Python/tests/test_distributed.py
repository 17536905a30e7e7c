# Do many processes, each with a part of the sequence, compute what one process does, forward and backward, and end together when one of them dies?
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
if not torch.distributed.is_available():
    pytest.skip("torch was built without torch.distributed", allow_module_level=True)

# mask, tokens of each of 4 ranks (of 2: the sums of pairs), group, shift, heads, kv heads, batch, shifted heads, type
PLAIN = [
    ("split", (16, 8, 24, 16), 8, 4, 4, 2, 1, "second_half", "float32"),
    ("split", (16, 16, 8, 5), 8, 3, 4, 4, 2, "second_half", "float32"),
    ("split", (8, 0, 0, 8), 8, 4, 4, 1, 1, "second_half", "float32"),
    ("split", (8, 8, 8, 8), 8, 7, 6, 2, 1, [True, False, False, True, True, True], "float32"),
    ("split", (0, 16, 0, 0), 8, 4, 4, 2, 1, "second_half", "float32"),
    ("split", (16, 8, 8, 8), 8, 4, 4, 2, 1, "second_half", "bfloat16"),
    ("local_causal", (16, 8, 24, 16), 8, 4, 4, 2, 2, "second_half", "float32"),
    ("local_causal", (0, 8, 0, 8), 8, 3, 4, 4, 1, "all", "float32"),
    ("position_causal", (16, 8, 24, 8), 8, 4, 4, 2, 1, "second_half", "float32"),
    ("position_causal", (8, 8, 0, 8), 8, 5, 4, 1, 2, "second_half", "float32"),
    ("bidirectional", (16, 8, 24, 16), 8, 4, 4, 2, 1, "second_half", "float32"),
    ("bidirectional", (8, 0, 0, 8), 8, 2, 2, 1, 2, "all", "float32"),
    ("bidirectional_split", (16, 8, 8, 16), 8, 4, 4, 2, 1, "second_half", "float32"),
    ("bidirectional_split", (16, 8, 8, 3), 8, 6, 4, 2, 1, "second_half", "float32"),
    ("split", (16, 8, 24, 16), 8, 0, 4, 2, 1, "second_half", "float32"),
    ("split", (16, 8, 24, 16), 8, 4, 4, 2, 1, "none", "float32"),
]

# The same with a prefix, and whether it is seen whole: within one rank, over two and over three; up to the last token; in the wrapped run and behind it.
PREFIXED = [
    (*PLAIN[0], 3, False), (*PLAIN[0], 20, False), (*PLAIN[0], 30, False), (*PLAIN[0], 3, True), (*PLAIN[0], 20, True), (*PLAIN[0], 30, True), (*PLAIN[0], 64, True),
    (*PLAIN[1], 1, False), (*PLAIN[1], 45, True), (*PLAIN[2], 10, False), (*PLAIN[2], 10, True), (*PLAIN[3], 9, False), (*PLAIN[3], 9, True), (*PLAIN[4], 5, False),
    (*PLAIN[5], 20, False), (*PLAIN[5], 20, True), (*PLAIN[14], 20, False), (*PLAIN[15], 20, True),
    (*PLAIN[6], 3, False), (*PLAIN[6], 20, False), (*PLAIN[6], 3, True), (*PLAIN[6], 30, True), (*PLAIN[6], 62, True), (*PLAIN[6], 62, False), (*PLAIN[7], 10, True),
    (*PLAIN[8], 2, False), (*PLAIN[8], 20, False), (*PLAIN[8], 54, False), (*PLAIN[8], 2, True), (*PLAIN[8], 20, True), (*PLAIN[8], 54, True), (*PLAIN[9], 10, True),
    (*PLAIN[10], 3, False), (*PLAIN[10], 30, False), (*PLAIN[10], 62, True), (*PLAIN[11], 9, False),
    (*PLAIN[12], 3, False), (*PLAIN[12], 20, True), (*PLAIN[13], 30, False), (*PLAIN[13], 35, False),
]
CASES = [(*case, 0, False) for case in PLAIN] + PREFIXED


def lengths_of(case, world):
    parts = case[1]
    return parts if world == 4 else (parts[0] + parts[1], parts[2] + parts[3])


def tensors(case, seed):
    _, parts, _, _, heads, kv_heads, batch, _, dtype, _, _ = case
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(batch, sum(parts), count, 8, generator=generator).to(getattr(torch, dtype)) for count in (heads, kv_heads, kv_heads, heads)] + [
        torch.randn(batch, heads, sum(parts), generator=generator)]


def one_process(case, seed):
    import s2attn
    mask, _, group, shift, _, _, _, shifted, _, prefix, whole = case
    q, k, v, do, dlse = tensors(case, seed)
    leaves = [x.clone().requires_grad_() for x in (q, k, v)]
    o, lse = s2attn.s2_attn_func(*leaves, group, mask=mask, shift=shift, shifted_heads=shifted, return_lse=True, prefix=prefix, whole_prefix=whole)
    ((o * do).sum().float() + (lse.nan_to_num(neginf=0) * dlse).sum()).backward()
    return o.detach(), lse.detach(), *(x.grad for x in leaves)


def worker(rank, world):
    from s2attn.distributed import Shards, s2_attn_sharded
    for seed, case in enumerate(CASES):
        mask, _, group, shift, heads, kv_heads, batch, shifted, dtype, prefix, whole = case
        lengths = lengths_of(case, world)
        shards = Shards(lengths[rank], timeout=60)
        assert shards.lengths == tuple(lengths)
        start = sum(lengths[:rank])
        cut = slice(start, start + lengths[rank])
        q, k, v, do, dlse = tensors(case, seed)
        leaves = [x[:, cut].clone().requires_grad_() for x in (q, k, v)]
        o, lse = s2_attn_sharded(*leaves, shards, group, mask=mask, shift=shift, shifted_heads=shifted, return_lse=True, prefix=prefix, whole_prefix=whole)
        ((o * do[:, cut]).sum().float() + (lse.nan_to_num(neginf=0) * dlse[:, :, cut]).sum()).backward()
        expected = one_process(case, seed)
        name = f"rank {rank} of {world}, case {seed}: {case}"
        tolerance = 2e-5 if dtype == "float32" else 0.06
        # Where the halo comes from the other end of the text, one process meets the same keys in another order.
        exact = 0.0 if mask in ("split", "bidirectional_split") else tolerance
        torch.testing.assert_close(o, expected[0][:, cut], rtol=exact, atol=exact, msg=lambda text: f"o: {name}: {text}")
        torch.testing.assert_close(lse, expected[1][:, :, cut], rtol=exact, atol=exact, msg=lambda text: f"lse: {name}: {text}")
        for tensor, gradient, right in zip("qkv", (x.grad for x in leaves), expected[2:]):
            torch.testing.assert_close(gradient, right[:, cut], rtol=tolerance, atol=tolerance, msg=lambda text: f"d{tensor}: {name}: {text}")

        # What the traffic theorem says: (G - S) rows to the right under split, whatever N is, and at most P of a prefix each way; the sums of its gradients are float32.
        if mask == "split" and shift and shifted == "second_half":
            filled = [r for r in range(world) if lengths[r]]
            kv = len({h // (heads // kv_heads) for h in range(heads // 2, heads)})
            halo, row, end = 2 * batch * (group - shift) * kv * 8 * q.element_size(), 2 * batch * kv_heads * 8, start + lengths[rank]
            sent = 0
            if rank in filled[:-1]:
                sent += halo + row * (min(prefix, end) * q.element_size() + (prefix - min(prefix, end)) * whole * 4)
            if rank in filled[1:]:
                sent += halo + row * (min(prefix, start) * 4 + (prefix - min(prefix, start)) * whole * q.element_size())
            assert shards.bytes_sent == sent, name


def refused(rank, world):
    from s2attn.distributed import Shards, s2_attn_sharded
    shards = Shards(12 if rank == 0 else 8, timeout=60)
    q = torch.zeros(1, 12 if rank == 0 else 8, 2, 4)
    for arguments, text in ((dict(mask="split"), "rank 0 holds 12 tokens: must be a multiple of group_size=8"), (dict(mask="local_causal"), "must divide the 20 tokens of all ranks")):
        with pytest.raises(ValueError, match=text):
            s2_attn_sharded(q, q, q, shards, 8, **arguments)
    with pytest.raises(ValueError, match="must be an int"):
        s2_attn_sharded(q, q, q, shards, 0.5, mask="split")
    with pytest.raises(ValueError, match="prefix=21: must be at most N, 20 tokens of all ranks"):
        s2_attn_sharded(q, q, q, shards, 4, mask="split", prefix=21)
    with pytest.raises(ValueError, match="q has 4 tokens: must have the"):
        s2_attn_sharded(q[:, :4], q[:, :4], q[:, :4], shards, 4, mask="split")
    with pytest.raises(ValueError, match="tokens=-1"):
        Shards(-1)


def dies(rank, world, seconds=0):
    from s2attn.distributed import Shards, s2_attn_sharded
    shards = Shards(8, timeout=20)
    leaves = [torch.randn(1, 8, 2, 4, requires_grad=True) for _ in range(3)]
    o = s2_attn_sharded(*leaves, shards, 8, mask="local_causal")
    if rank == world - 1:
        os._exit(7)
    time.sleep(seconds)
    with pytest.raises(RuntimeError, match="s2attn.distributed: .*rank"):
        o.sum().backward()
        s2_attn_sharded(*leaves, shards, 8, mask="local_causal")


def is_dead(rank, world):
    # Long enough for its connections to be known as closed: messages fail as they are begun, not as they are waited for.
    dies(rank, world, seconds=1)


def hangs(rank, world):
    from s2attn.distributed import Shards, s2_attn_sharded
    shards = Shards(8, timeout=3)
    leaves = [torch.randn(1, 8, 2, 4) for _ in range(3)]
    if rank == world - 1:
        time.sleep(12)
        return
    with pytest.raises(RuntimeError, match="within 3 s"):
        s2_attn_sharded(*leaves, shards, 8, mask="local_causal")


def launch(name, world, seconds=240):
    """`name` in so many processes, over files and the loopback: exit codes and what they wrote."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])}
        ranks = [subprocess.Popen([sys.executable, __file__, name, str(rank), str(world), os.path.join(folder, "store")], env=environment, text=True,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT) for rank in range(world)]
        end = time.monotonic() + seconds
        texts = []
        try:
            for process in ranks:
                texts.append(process.communicate(timeout=max(1, end - time.monotonic()))[0])
        finally:
            for process in ranks:
                if process.poll() is None:
                    process.kill()
                    process.wait()
        return [process.returncode for process in ranks], texts


@pytest.mark.parametrize("world", [2, 4])
def test_many_processes_have_the_rows_and_gradients_of_one(world):
    codes, texts = launch("worker", world)
    assert codes == [0] * world, "\n".join(texts)[-4000:]


def test_what_cannot_be_cut_is_refused_on_every_rank():
    codes, texts = launch("refused", 2)
    assert codes == [0, 0], "\n".join(texts)[-4000:]


@pytest.mark.parametrize("when", ["dies", "is_dead"])
def test_a_rank_that_dies_ends_the_others_with_an_error_within_the_limit(when):
    codes, texts = launch(when, 3, 120)
    assert codes == [0, 0, 7], "\n".join(texts)[-4000:]


def test_a_rank_that_hangs_is_given_up_within_the_limit():
    codes, texts = launch("hangs", 2, 120)
    assert codes[0] == 0, "\n".join(texts)[-4000:]


if __name__ == "__main__":
    which, own, count, store = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{store}", rank=own, world_size=count)
    globals()[which](own, count)
    # Not destroyed: a peer may have died, and its connections with it.
    os._exit(0)
