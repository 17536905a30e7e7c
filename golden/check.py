#!/usr/bin/env python3
# Does an S2-Attn port in Python compute the definition, on the inputs of the golden cases? NumPy is all it needs.
"""The golden vectors for a port author's own tests: no .NET, no PyTorch; this file and the folder it lies in are enough.

    python3 golden/check.py --port my_package.my_module:attention
    python3 golden/check.py                         are the files whole, and does LongLoRA agree with the definition where the manifest says so?

or from pytest:

    import check                                    # golden/ on sys.path
    @pytest.mark.parametrize("case", check.cases(), ids=str)
    def test_golden(case):
        check.check(my_attention, case)             # AssertionError says tensor, element, bound, and which known defect it looks like

A port is a function `attention(q, k, v, config, valid)` that returns o [B,N,H,D], or (o, lse) with lse [B,N,H]; q is [B,N,H,D], k and v are [B,N,K,D],
valid is bool [B,N], config the dict of docs/port-protocol.md. A backward pass is `gradients(q, k, v, do, config, valid)` -> (dq, dk, dv). bf16 tensors arrive as
float32 arrays whose numbers are bf16 numbers. A port raises NotImplementedError for what it does not support. What is returned is held against the definition,
evaluated here in float64, within the error bound that docs/error-bounds.md derives.
"""
import argparse
import copy
import functools
import hashlib
import importlib
import json
import math
import os
import struct
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).resolve().parent
ROWS_AT_ONCE = 512


class VectorError(Exception):
    """A file of the folder is missing or damaged; the message names it and the rule that it breaks."""


# ---- Reading ---------------------------------------------------------------------------------------------------------------------------

def read_safetensors(path):
    """name -> array of a .safetensors file; BF16 becomes float32 with the same numbers."""
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise VectorError(f"{path}: {error.strerror}") from None
    length = struct.unpack("<Q", data[:8])[0] if len(data) >= 8 else -1
    if not 0 <= length <= len(data) - 8:
        raise VectorError(f"{path}: {len(data)} bytes do not hold a header of {length}: not a .safetensors file, or cut short")
    try:
        header = json.loads(data[8:8 + length].decode("utf-8"))
        return {name: _tensor(memoryview(data)[8 + length:], **entry) for name, entry in header.items() if name != "__metadata__"}
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise VectorError(f"{path}: {error}") from None


def _tensor(body, dtype, shape, data_offsets):
    code = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "U8": "u1"}[dtype]
    first, last = data_offsets
    if not (0 <= first <= last <= len(body) and last - first == int(np.prod(shape)) * np.dtype(code).itemsize):
        raise ValueError(f"a tensor of shape {shape} and type {dtype} cannot be bytes {first} to {last} of {len(body)}")
    array = np.frombuffer(body[first:last], code).reshape(shape)
    return (array.astype("<u4") << 16).view("<f4") if dtype == "BF16" else array


@dataclass(frozen=True)
class Case:
    """One golden case. config, why, flags and defects are the manifest's; the tensors are read when first used."""

    path: Path
    record: dict

    def __str__(self):
        return self.record["name"]

    @property
    def config(self):
        return copy.deepcopy({**self.record["config"], **({"axes": self.record["axes"]} if "axes" in self.record else {})})

    @property
    def defects(self):
        """Names of what LongLoRA's function did wrong here; empty where it follows the definition."""
        return tuple(self.record["expected"]["defects"])

    @functools.cached_property
    def tensors(self):
        """Name -> array: q, k, v, do, LongLoRA's own o, dq, dk, dv, and valid (bool, all true where no key is padded)."""
        if (digest := hashlib.sha256(_bytes(self.path)).hexdigest()) != self.record["sha256"]:
            raise VectorError(f"{self.path}: sha256 is {digest}, manifest.json says {self.record['sha256']}")
        tensors = read_safetensors(self.path)
        config = self.record["config"]
        if missing := [name for name in ("q", "k", "v", "do", "o", "dq", "dk", "dv") if name not in tensors]:
            raise VectorError(f"{self.path}: it lacks {', '.join(missing)}")
        valid = tensors.get("valid", np.ones((config["batch"], config["tokens"]))) != 0
        return {**{name: tensors[name] for name in ("q", "k", "v", "do", "o", "dq", "dk", "dv")}, "valid": valid}

    @functools.cached_property
    def expected(self):
        """Name -> (exact, bound) for o, lse, dq, dk, dv: the definition in float64 and the largest error of a sane port."""
        return evaluate(self.config, **{name: self.tensors[name].astype(np.float64) for name in ("q", "k", "v", "do")}, valid=self.tensors["valid"])


def _bytes(path):
    try:
        return path.read_bytes()
    except OSError as error:
        raise VectorError(f"{path}: {error.strerror}") from None


def cases(folder=FOLDER, only="", max_tokens=None):
    """Every case with a q, k and v of its own, in the manifest's order: those whose name contains `only` and that have at most `max_tokens` tokens."""
    path = Path(folder) / "manifest.json"
    try:
        manifest = json.loads(_bytes(path))
    except ValueError as error:
        raise VectorError(f"{path}: {error}") from None
    version = manifest.get("schemaVersion") if isinstance(manifest, dict) else None
    if version != 1:
        raise VectorError(f"{path}: schemaVersion must be 1, it is {version}")
    try:
        return [Case(Path(folder) / record["file"], record) for record in manifest["cases"]
                if only in record["name"] and (max_tokens is None or record["config"]["tokens"] <= max_tokens)
                and (record["family"] == "core" or not record["upstream"]["function"].startswith("get_forward_function"))]
    except (KeyError, TypeError, AttributeError) as error:
        raise VectorError(f"{path}: it is not of the form that README.md describes ({type(error).__name__}: {error})") from None


# ---- The definition, and how far from it rounding may lead (numbers of steps as in docs/error-bounds.md) -------------------------------------

def axes_of(config):
    """(tokens, groupSize, shift) of each axis on which the tokens stand, the slowest first; a text has one."""
    return [(axis["tokens"], axis["groupSize"], axis["shift"]) for axis in config.get("axes", [config])]


def visible(config, head):
    """bool [N,N]: which key u query t of this head may see (padding aside)."""
    kind, axes = config["shiftedHeads"], axes_of(config)
    shifts = {"None": False, "All": True, "SecondHalf": head >= config["heads"] // 2}[kind] if isinstance(kind, str) else kind[head]
    group = same_run = True
    order = 0                                   # of shifted positions, axis by axis from the slowest
    for (n, g, s), t in zip(axes, np.indices([axis[0] for axis in axes]).reshape(len(axes), -1)):
        s, ring = s if shifts else 0, -(-n // g) * g
        position, run = (t - s) % ring, t >= s
        group, same_run = group & ((position // g)[:, None] == position // g), same_run & (run[:, None] == run)
        order = order * ring + position
    past = np.tri(config["tokens"], dtype=bool)
    return group & {"LocalCausal": order[:, None] >= order, "Split": same_run & past, "PositionCausal": past,
                    "Bidirectional": True, "BidirectionalSplit": same_run}[config["mask"]]


@dataclass(frozen=True)
class Rounding:
    """Unit roundoff u and underflow eta of the arithmetic, and us, etas of the stored tensors; exp within 8 u; scores may be stored three times, weights once."""

    u: float
    eta: float
    us: float
    etas: float

    def gamma(self, n):
        return n * self.u / (1 - n * self.u)


SINGLE = (2.0 ** -24, 2.0 ** -126)
ROUNDINGS = {
    "f64": Rounding(2.0 ** -53, 2.0 ** -1022, 2.0 ** -53, 2.0 ** -1074), "f32": Rounding(*SINGLE, 2.0 ** -24, 2.0 ** -150),
    "f16": Rounding(*SINGLE, 2.0 ** -11, 2.0 ** -25), "bf16": Rounding(*SINGLE, 2.0 ** -8, 2.0 ** -134),
}


def evaluate(config, q, k, v, do, valid):
    """name -> (exact, bound). |v - o| of step 4 is taken as |v| + |o|, so that everything is a product of matrices."""
    r, scale, sharing = ROUNDINGS[config["dtype"]], config["scale"], config["heads"] // config["kvHeads"]
    queries = sharing * math.prod(axis[1] for axis in axes_of(config))
    exact = {"o": np.zeros_like(q), "lse": np.full(q.shape[:3], -np.inf), "dq": np.zeros_like(q), "dk": np.zeros_like(k), "dv": np.zeros_like(v)}
    bound = {name: np.zeros_like(array) for name, array in exact.items()}
    seen = np.zeros((*k.shape[:3], 1), bool)    # a key that no query sees has a gradient of exactly 0
    for h in range(config["heads"]):
        mask, kv = visible(config, h), h // sharing
        for b in range(config["batch"]):
            keys, values = k[b, :, kv], v[b, :, kv]
            for first in range(0, config["tokens"], ROWS_AT_ONCE):
                rows = slice(first, first + ROWS_AT_ONCE)
                sees = mask[rows] & valid[b]
                columns = np.flatnonzero(sees.any(0))
                value, error = _rows(r, scale, queries, sees[:, columns], q[b, rows, h], keys[columns], values[columns], do[b, rows, h])
                for name in ("o", "lse", "dq"):
                    exact[name][b, rows, h], bound[name][b, rows, h] = value[name], error[name]
                for name in ("dk", "dv"):
                    exact[name][b, columns, kv] += value[name]
                    bound[name][b, columns, kv] += error[name]
                seen[b, columns, kv] = True
    for name in ("dk", "dv"):                   # heads that share a kv head may be summed in the storage format
        before = bound[name] + sharing * r.us * (np.abs(exact[name]) + bound[name])
        bound[name] = np.where(seen, before + np.abs(exact[name]) * r.us + r.etas, 0)
    cover = 1 + 1e-6 if r.u > 2.0 ** -53 else 2
    return {name: (exact[name], cover * bound[name]) for name in exact}


def _rows(r, scale, queries, sees, q, k, v, do):
    """The rows q [R,D] of one head over the keys [U,D] that they see; no key is seen by more than `queries` queries."""
    magnitude, dim = np.abs, q.shape[1]
    any_key, n = sees.any(1, keepdims=True), sees.sum(1, keepdims=True)
    scores = np.where(sees, scale * (q @ k.T), -np.inf)
    top = np.where(any_key, scores.max(1, keepdims=True, initial=-np.inf), 0)
    weights = np.exp(scores - top)
    total = np.where(any_key, weights.sum(1, keepdims=True), 1)
    p, lse = weights / total, np.where(any_key, top + np.log(total), -np.inf)
    o = p @ v

    # 1 and 2: |log of a weight's relative error|
    rescalings = np.minimum(n, n / 16 + 2)
    sigma = (r.gamma(dim + 3) + 3 * r.us) * (magnitude(scale) * (magnitude(q) @ magnitude(k).T)) + r.eta * (magnitude(k).sum(1) + dim * max(1, magnitude(scale)) + 2) + 3 * r.etas
    sigma = np.where(sees, sigma, 0)
    far = np.where(sees, np.minimum(top - np.where(sees, scores, 0), 1490), 0)
    delta = sigma + 8 * r.u * (rescalings + 1) * 1.001 + r.gamma(1) * (far + sigma + sigma.max(1, keepdims=True, initial=0))

    # 3 to 5: o
    grown, change = p * np.exp(delta), p * np.expm1(delta)
    least = np.maximum((p * np.exp(-delta)).sum(1, keepdims=True) - n * ((rescalings + 1) * 2 * r.eta + r.etas), 1e-300)
    chain = r.gamma(n + rescalings + 1)
    lost = np.where(sees, (rescalings + 1) * 2 * r.eta + r.etas, 0)
    sums = (change + lost) @ magnitude(v) + (change + lost).sum(1, keepdims=True) * magnitude(o) + (chain + r.us * (1 + chain)) * (grown @ magnitude(v))
    reach = magnitude(v).max(0, initial=0)
    before = np.minimum(sums / least, (1 + chain + r.us) * reach + magnitude(o)) + (n + rescalings + 2) * r.eta
    divided = before + (magnitude(o) + before) * r.gamma(n + rescalings + 3) / (1 - chain)
    o_error = np.where(any_key, divided + (magnitude(o) + divided) * r.us + r.etas, 0)

    # 6: lse
    growth = np.maximum(np.log1p(change.sum(1, keepdims=True) + n * (rescalings + 1) * 2 * r.eta), -np.log(least)) - np.log1p(-chain)
    finite_lse = np.where(any_key, lse, 0)
    lse_error = np.where(any_key, growth + 16 * r.u * (magnitude(finite_lse) + np.log(np.maximum(n, 1)) + 1 + growth) + r.eta, 0)

    # 8 to 10: the gradient of the scores
    log_error = delta + lse_error + r.gamma(16) * magnitude(finite_lse)
    log_error += r.gamma(2) * (np.where(sees, np.minimum(-np.log(np.maximum(p, 5e-324)), 1490), 0) + log_error)
    p_error = np.where(sees, p * np.expm1(log_error) + 2 * r.eta + r.etas, 0)
    dp, dp_size = do @ v.T, magnitude(do) @ magnitude(v).T
    dot = (p * dp).sum(1, keepdims=True)
    dp_error = (r.gamma(dim) + r.us) * dp_size + dim * r.eta
    from_weights = (p_error * magnitude(dp) + (p + p_error) * (dp_error + r.gamma(n + 2) * (dp_size + dp_error))).sum(1, keepdims=True) + n * r.eta
    from_output = (magnitude(do) * (o_error + r.gamma(dim) * (magnitude(o) + o_error))).sum(1, keepdims=True) + dim * r.eta
    dot_error = np.maximum(from_weights, from_output)
    difference = dp - dot
    difference_error = dot_error + r.gamma(dim + 2) * (dp_size + magnitude(dot) + dot_error) + r.us * dp_size + r.etas + (dim + 2) * r.eta
    largest = (p + p_error) * (magnitude(difference) + difference_error)
    ds = np.where(sees, p * difference, 0)
    ds_error = np.where(sees, p_error * magnitude(difference) + (p + p_error) * difference_error + (r.gamma(2) + 2 * r.us) * largest + r.eta + r.etas, 0)

    # 11: sums over keys, and over queries, where a term may pass as many additions as the longest sum has
    chained = lambda coefficient, error, x, terms: (error @ magnitude(x) + terms * ((magnitude(coefficient) + error) @ magnitude(x)))
    dq, dk, dv = scale * (ds @ k), scale * (ds.T @ q), p.T @ do
    dq_error = magnitude(scale) * chained(ds, ds_error, k, r.gamma(n + 4) + r.us) + n * r.eta
    dq_error = np.where(any_key, dq_error + (magnitude(dq) + dq_error) * r.us + r.etas, 0)
    dk_error = magnitude(scale) * chained(ds.T, ds_error.T, q, r.gamma(queries + 4) + r.us) + r.eta
    dv_error = chained(p.T, (p_error + r.us * (p + p_error)).T, do, r.gamma(queries + 4) + r.us) + r.eta
    return ({"o": o, "lse": lse[:, 0], "dq": dq, "dk": dk, "dv": dv},
            {"o": o_error, "lse": lse_error[:, 0], "dq": dq_error, "dk": dk_error, "dv": dv_error})


# ---- Judging ---------------------------------------------------------------------------------------------------------------------------

def check(function, case, backward=None):
    """Calls the port on one case. AssertionError where its answer is not the definition's; what the port itself raises passes through."""
    given = lambda *names: (*(case.tensors[name].copy() for name in names), case.config, case.tensors["valid"].copy())
    answer = function(*given("q", "k", "v"))
    answers = dict(zip(("o", "lse"), answer)) if isinstance(answer, (tuple, list)) else {"o": answer}
    if backward is not None:
        gradients = backward(*given("q", "k", "v", "do"))
        assert isinstance(gradients, (tuple, list)) and len(gradients) == 3, f"{case}: the backward function must return (dq, dk, dv), it returned {type(gradients).__name__}"
        answers.update(zip(("dq", "dk", "dv"), gradients))
    for name, array in answers.items():
        if complaint := disagreement(case, name, array):
            raise AssertionError(f"{case}: {complaint}")


def disagreement(case, name, array):
    """What is wrong with a tensor of an answer, in words; None where it is within the bound of the definition."""
    exact, bound = case.expected[name]
    axes = "[B,N,K,D]" if name in ("dk", "dv") else "[B,N,H,D]" if exact.ndim == 4 else "[B,N,H]"
    array = np.asarray(array)
    if array.shape != exact.shape:
        swapped = exact.ndim > 2 and array.shape == exact.swapaxes(1, 2).shape
        return f"{name} has shape {list(array.shape)}, expected {axes} = {list(exact.shape)}" + (" (heads before tokens: transpose axes 1 and 2)" if swapped else "")
    if array.dtype.kind not in "fiu" or array.dtype == np.uint16:
        return f"{name} has type {array.dtype}, expected real numbers (bf16 as float32)"
    array = array.astype(np.float64)
    excess = _excess(array, exact, bound)
    if not (excess > 1).any():
        return None
    at = np.unravel_index(np.argmax(excess), excess.shape)
    wrong, rows = int((excess > 1).reshape(*exact.shape[:3], -1).any(-1).sum()), int(np.prod(exact.shape[:3]))
    text = (f"{name}[{','.join(map(str, at))}] = {array[at]:.9g}, the definition gives {exact[at]:.9g} +- {bound[at]:.2g}; "
            f"{wrong} of {rows} rows ({axes}) are wrong. (What the case is there for: {case.record['why'].rstrip('.')}.)")
    if case.defects and name in case.tensors and not (_excess(array, case.tensors[name].astype(np.float64), bound + np.abs(exact) * 1e-6) > 1).any():
        text += f" The answer is LongLoRA's own, with its defect {' and '.join(case.defects)} (golden/README.md)."
    return text


def _excess(array, exact, bound):
    """error / bound; 0 where both are the same infinity, infinite where only one is finite or the answer is NaN."""
    with np.errstate(invalid="ignore", divide="ignore"):
        error = np.where(array == exact, 0, np.abs(array - exact))
        return np.where(error == 0, 0, np.where(np.isnan(error), np.inf, error / bound))


# ---- The command -----------------------------------------------------------------------------------------------------------------------

def _load(parser, text):
    """The function that module:function names; a name that is not there ends the command with a message."""
    module, _, name = text.partition(":")
    if not module or not name:
        parser.error(f"'{text}' must be module:function")
    sys.path.insert(0, os.getcwd())
    try:
        function = functools.reduce(getattr, name.split("."), importlib.import_module(module))
    except (Exception, SystemExit) as error:    # a module may do anything while it is imported
        parser.error(f"'{text}' cannot be loaded: {type(error).__name__}: {error}")
    return function if callable(function) else parser.error(f"'{text}' is {type(function).__name__}, not a function")


def _upstream(case):
    """LongLoRA's own tensors in place of a port's."""
    if case.record["toleranceClass"] in ("f64-softmax-f32", "bf16-stages", "bf16-storage", "f16-storage"):
        return None                             # where sums run in bf16, or a softmax in f32 of f64, the bound of a port does not apply
    found = next((text for name in ("o", "dq", "dk", "dv") if (text := disagreement(case, name, case.tensors[name]))), None)
    return ("the manifest names a defect, but the tensors follow the definition" if found is None else None) if case.defects else found


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], epilog="Exit: 0 all agree, 1 some do not, 2 the command or the folder is wrong.")
    parser.add_argument("--port", metavar="MODULE:FUNCTION", help="attention(q, k, v, config, valid) -> o or (o, lse); without it the folder itself is checked")
    parser.add_argument("--backward", metavar="MODULE:FUNCTION", help="gradients(q, k, v, do, config, valid) -> (dq, dk, dv)")
    parser.add_argument("--dir", default=FOLDER, help="the folder with manifest.json")
    parser.add_argument("--only", default="", metavar="TEXT", help="cases whose name contains TEXT")
    parser.add_argument("--max-tokens", type=int, metavar="N", help="leave longer cases out")
    options = parser.parse_args(arguments)
    if options.backward and not options.port:
        parser.error("--backward needs --port")
    port, backward = (text and _load(parser, text) for text in (options.port, options.backward))
    counts = {"agree": 0, "differ": 0, "not supported": 0}
    try:
        chosen = cases(options.dir, options.only, options.max_tokens)
        if not chosen:
            parser.error(f"no case has '{options.only}' in its name" + (f" and at most {options.max_tokens} tokens" if options.max_tokens is not None else ""))
        for case in chosen:
            outcome, text = _outcome(port, backward, case)
            counts[outcome] += 1
            if text:
                print(f"{outcome}: {text}")
    except VectorError as error:
        print(f"check.py: {error}", file=sys.stderr)
        return 2
    print(", ".join(f"{count} {outcome}" for outcome, count in counts.items()))
    if counts["agree"] + counts["differ"] == 0:
        print("nothing was checked: every case is not supported")
        return 1
    return int(counts["differ"] > 0)


def _outcome(port, backward, case):
    try:
        if port is None:
            text = _upstream(case)
            return ("agree", None) if text is None else ("differ", f"{case}: {text}")
        check(port, case, backward)
        return "agree", None
    except NotImplementedError as reason:
        return "not supported", f"{case}: {reason}"
    except AssertionError as error:
        return "differ", str(error)
    except VectorError:
        raise                                   # the folder's fault, not the port's
    except (Exception, SystemExit) as error:    # whatever a port raises is its answer to this case, and an exit would pass for a success
        where = traceback.extract_tb(error.__traceback__)[-1]
        return "differ", f"{case}: {type(error).__name__}: {error} ({where.filename}:{where.lineno})"


if __name__ == "__main__":
    sys.exit(main())
