# PyTorch's fused attention between LongLoRA's rolls, for `s2attn bench --torch PYTHON`: each line of standard input is a number of calls, each answer the mean seconds of one.
import sys
import time

try:
    import torch
    from torch.nn.functional import scaled_dot_product_attention as attend
except ImportError as error:
    sys.exit(print(f"missing: {error}", flush=True))

tokens, group, heads, dim, threads = map(int, sys.argv[1:6])
torch.set_num_threads(threads)
q, k, v, do = (torch.rand(1, tokens, heads, dim) * 2 - 1 for _ in range(4))


def rolled(x, shift):
    return torch.cat((x[:, :, :heads // 2], x[:, :, heads // 2:].roll(shift, 1)), 2)


def forward(q, k, v):
    groups = [rolled(x, -(group // 2)).reshape(tokens // group, group, heads, dim).transpose(1, 2) for x in (q, k, v)]
    o = attend(*groups, is_causal=True)
    return rolled(o.transpose(1, 2).reshape(1, tokens, heads, dim), group // 2)


def backward():
    leaves = [x.detach().requires_grad_() for x in (q, k, v)]
    forward(*leaves).backward(do)


call = backward if sys.argv[6] == "backward" else lambda: forward(q, k, v)
print(f"torch {torch.__version__}", flush=True)
for line in sys.stdin:
    start = time.perf_counter()
    for _ in range(int(line)):
        call()
    print((time.perf_counter() - start) / int(line), flush=True)
