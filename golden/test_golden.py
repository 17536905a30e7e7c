# Does the exporter repeat itself, do its checks fail on wrong claims, and does upstream still do what README.md says?
"""LONGLORA=PATH_TO_CHECKOUT python3 golden/test_golden.py"""

import filecmp
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import types
import unittest
from unittest import mock

import export_longlora as exporter  # first: it sets the number of threads
import numpy as np
import torch

import cases
import claims
import plain_model
import safetensors_file
import standins
import upstream as longlora

FOLDER = pathlib.Path(__file__).parent
CHECKOUT = os.environ.get("LONGLORA")
if not CHECKOUT:
    sys.exit("test_golden: set LONGLORA to a checkout of dvlab-research/LongLoRA")
torch.set_num_threads(1)
UPSTREAM = longlora.Upstream(CHECKOUT)
BY_NAME = {case.name: case for case in cases.CASES}


def run_cli(*arguments):
    return subprocess.run([sys.executable, str(FOLDER / "export_longlora.py"), *map(str, arguments)], capture_output=True, text=True)


def core(function, tokens, heads, kv_heads=None, batch=1, dim=4, valid=None, seed=1, **inputs):
    """Runs one upstream function on normal float64 inputs; returns the inputs and outputs."""
    case = cases.Case(function, "probe", tokens, heads, dim, "", kv_heads=kv_heads, batch=batch)
    config = claims.configuration(case, "f64")
    random = np.random.RandomState(seed)
    draw = lambda count: torch.from_numpy(random.standard_normal((batch, tokens, count, dim)))
    inputs = {"q": draw(heads), "k": draw(config["kvHeads"]), "v": draw(config["kvHeads"]), "do": draw(heads), **inputs}
    valid = torch.ones(batch, tokens, dtype=torch.bool) if valid is None else valid
    return inputs, longlora.run_core(UPSTREAM, function, config, valid, claims.patches_for(case, "f64")[0], **inputs)


class TheExporter(unittest.TestCase):
    def test_twice_gives_the_same_bytes_and_they_are_the_committed_ones(self):
        with tempfile.TemporaryDirectory() as first, tempfile.TemporaryDirectory() as second:
            for folder in (first, second):
                run = run_cli("--longlora", CHECKOUT, "--out", folder)
                self.assertEqual(run.returncode, 0, run.stderr)
            names = sorted(path.name for path in pathlib.Path(first).iterdir())
            self.assertEqual(filecmp.cmpfiles(first, second, names, shallow=False), (names, [], []))
            self.assertEqual(filecmp.cmpfiles(first, FOLDER, names, shallow=False), (names, [], []),
                             "the committed files come from another torch, numpy or machine (manifest.json names it), or are stale")
            self.assertEqual(sorted(path.name for path in FOLDER.glob("*.safetensors")), [name for name in names if name != "manifest.json"])

    def test_the_readme_states_the_largest_measured_errors(self):
        manifest_cases = json.loads((FOLDER / "manifest.json").read_text())["cases"]
        largest = lambda wanted, leave_out=(): max(
            max(case["measuredError"].values()) for case in manifest_cases
            if case["family"] == "core" and case["toleranceClass"] == wanted and not any(word in case["case"] for word in leave_out))
        stated = [f"{wanted} {largest(wanted):.1e}" for wanted in ("f64", "f32", "f64-softmax-f32", "bf16-stages", "bf16-storage", "f16-storage")]
        stated.append(f"`large` {largest('f32', ('overflow', 'underflow', 'large')):.1e}")
        readme = " ".join((FOLDER / "README.md").read_text().split())
        self.assertEqual([words for words in stated if words not in readme], [])

    def test_refuses_a_folder_without_the_files_before_writing(self):
        with tempfile.TemporaryDirectory() as empty, tempfile.TemporaryDirectory() as out:
            run = run_cli("--longlora", empty, "--out", out)
            self.assertEqual(run.returncode, 1)
            self.assertIn("it lacks llama_attn_replace.py, llama_attn_replace_sft.py, gptneox_attn_replace.py", run.stderr)
            self.assertEqual(os.listdir(out), [])

    def test_refuses_a_checkout_with_changed_files(self):
        with tempfile.TemporaryDirectory() as folder:
            for name in longlora.FILES:
                shutil.copy(pathlib.Path(CHECKOUT) / name, folder)
            git = lambda *words: subprocess.run(["git", "-C", folder, "-c", "user.name=t", "-c", "user.email=t@t", *words], check=True, capture_output=True)
            with self.assertRaisesRegex(longlora.CheckoutError, "git status failed"):
                longlora.Upstream(folder)
            git("init")
            git("add", ".")
            git("commit", "-m", "copy")
            longlora.Upstream(folder)
            (pathlib.Path(folder) / longlora.FILES[1]).write_text("")
            with self.assertRaisesRegex(longlora.CheckoutError, "files differ from the commit"):
                longlora.Upstream(folder)

    def test_a_file_reads_back_as_it_was_written(self):
        tensors = {"a": torch.tensor([[1.5, -2.0]], dtype=torch.bfloat16), "b": torch.tensor([3.0], dtype=torch.float64), "c": torch.tensor([1, 0], dtype=torch.uint8)}
        read, metadata = safetensors_file.decode(safetensors_file.encode(tensors, {"x": "{\"y\": 1}"}))
        self.assertEqual(metadata, {"x": "{\"y\": 1}"})
        for name, tensor in tensors.items():
            self.assertEqual((read[name].dtype, read[name].tolist()), (tensor.dtype, tensor.tolist()))


class TheClaims(unittest.TestCase):
    """Each mutant of the plain model must be refused by at least one case: the check can fail."""

    def refused(self, name, dtype="f64", **mutants):
        with mock.patch.multiple(plain_model, **mutants), self.assertRaises(exporter.ClaimError):
            exporter.run(UPSTREAM, BY_NAME[name], dtype)

    def with_config(self, **changes):
        original = plain_model.definition
        return {"definition": lambda config, valid: original({**config, **changes}, valid)}

    def test_the_definition_of_eager_is_not_split(self):
        self.refused("llama-eager-n16-g4-b2", **self.with_config(mask="Split"))

    def test_the_definition_of_flash_is_not_local_causal(self):
        self.refused("llama-flash-n16-g4-b2", **self.with_config(mask="LocalCausal"))

    def test_a_shift_of_one_less_is_refused(self):
        self.refused("llama-flash-n12-g3", **self.with_config(shift=0))

    def test_a_shift_of_the_first_half_is_refused(self):
        self.refused("llama-eager-n16-g4-h6-k3", is_shifted=lambda config, head: head < config["heads"] // 2)

    def test_bf16_is_precise_enough_to_refuse_it_too(self):
        for name in ("llama-eager-n16-g4-b2", "neox-eager-n16-g4-b2"):
            self.refused(name, "bf16", **self.with_config(mask="Split"))

    def test_the_definition_does_not_describe_a_defect(self):
        definition = plain_model.definition
        eager = {"longlora_eager": lambda config, valid, empty_rows_reach_future: definition(config, valid)}
        for name in ("llama-eager-n12-g3", "llama-eager-right-b2", "neox-eager-n12-g3"):
            self.refused(name, **eager)
        for name in ("llama-flash-right-b1-aligned", "llama-flash-left-b1", "sft-flash-right-b2"):
            self.refused(name, longlora_flash=definition)

    def test_future_keys_of_empty_rows_get_a_gradient_in_llama_only(self):
        eager = plain_model.longlora_eager
        swapped = {"longlora_eager": lambda config, valid, empty_rows_reach_future: eager(config, valid, not empty_rows_reach_future)}
        self.refused("llama-eager-left-b2", **swapped)
        self.refused("neox-eager-left-b2", **swapped)

    def test_a_gradient_off_by_its_scale_is_refused(self):
        attention = plain_model.attention
        self.refused("llama-eager-n8-g2", attention=lambda *args, **more: {**attention(*args, **more), "dq": 2 * attention(*args, **more)["dq"]})

    def test_a_nan_is_refused(self):
        forward = longlora.run_core
        spoiled = lambda *args, **more: {**forward(*args, **more), "o": torch.full_like(more["q"], float("nan"))}
        with mock.patch.object(longlora, "run_core", spoiled), self.assertRaises(exporter.ClaimError):
            exporter.run(UPSTREAM, BY_NAME["llama-eager-n8-g2"], "f64")

    def test_the_overflow_cases_overflow(self):
        for kind, sign in (("overflow", 1), ("underflow", -1)):
            for name in (f"llama-eager-{kind}", f"llama-flash-{kind}"):
                tensors, _ = exporter.run(UPSTREAM, BY_NAME[name], "f64")
                scores = sign * torch.einsum("bthd,buhd->bhtu", tensors["q"], tensors["k"]) / 2
                self.assertGreater(float(scores.min()), 746.0)  # exp(-746) is 0 and exp(746) infinite in float64


class Upstream(unittest.TestCase):
    """The findings of README.md, section 'Found in upstream'."""

    def test_odd_group_23_leaking_pairs_and_4_tokens_that_do_not_see_themselves(self):
        leaks = blind = 0
        for t in range(20):
            do = torch.zeros(1, 20, 1, 4, dtype=torch.float64)
            do[0, t] = 1.0
            seen = core("llama-eager", 20, 1, do=do)[1]["dv"][0, :, 0, 0] != 0
            leaks += int(seen[t + 1:].sum())
            blind += int(not seen[t])
        self.assertEqual((leaks, blind), (23, 4))

    def test_token_counts_that_pass_the_divisibility_check(self):
        passing = [n for n in range(4, 4096) if n % int(n * 0.25) == 0]
        self.assertEqual([n for n in passing if n % 4 != 0], [5, 6, 7, 10, 15])

    def test_fewer_than_4_tokens_divide_by_zero(self):
        for function in ("llama-eager", "llama-flash", "neox-eager"):
            with self.assertRaises(ZeroDivisionError):
                core(function, 3, 2)

    def test_gptneox_divides_by_zero_for_one_token_even_when_not_training(self):
        layer = longlora.neox_layer({"heads": 2, "headDim": 4}, torch.clone, torch.clone, *standins.null_tables(1, 4, torch.float64))
        layer.training = False
        with UPSTREAM.patched("neox-eager", {}) as module, self.assertRaises(ZeroDivisionError):
            module.get_forward_function(use_flash_attn=False)(layer, torch.zeros(1, 1, 24, dtype=torch.float64), None, torch.zeros(1, 1, dtype=torch.long))

    def test_small_bf16_products_are_summed_in_bf16(self):
        ones = torch.ones(1, 1, 300, dtype=torch.bfloat16)
        self.assertEqual(float(torch.matmul(ones, ones.transpose(1, 2))), 256.0)  # where 256 + 1 rounds to 256

    def test_flash_refuses_an_odd_number_of_heads(self):
        for function in ("llama-flash", "sft-flash"):
            with self.assertRaisesRegex(RuntimeError, "shape .* is invalid"):
                core(function, 16, 3)

    def test_a_nan_behind_the_mask_reaches_the_output(self):
        (inputs, clean), masked_future = core("llama-eager", 16, 2), 15
        v = inputs["v"].clone()
        v[0, masked_future] = float("nan")
        spoiled = core("llama-eager", 16, 2, v=v)[1]["o"]
        self.assertTrue(spoiled[0, 12:15, 0].isnan().all())  # head 0, group 12..15: they may not see token 15
        self.assertTrue(clean["o"].isfinite().all())

    def test_gptneox_flash_path_reads_heads_as_tokens(self):
        tokens, heads, dim, batch, g = 16, 4, 4, 2, 4
        inputs, right = core("neox-eager", tokens, heads, batch=batch)
        packed = torch.cat([inputs[name] for name in "qkv"], dim=-1).flatten(2)
        layer = longlora.neox_layer({"heads": heads, "headDim": dim}, torch.clone, torch.clone, *standins.null_tables(tokens, dim, packed.dtype))
        ellipsis = {
            "b s ... -> (b s) ...": lambda x: x.flatten(0, 1), "(b s) ... -> b s ...": lambda x, b: x.unflatten(0, (b, -1))}
        with UPSTREAM.patched("neox-eager", {"rearrange": lambda x, pattern, **sizes: ellipsis[pattern](x, **sizes)}) as module:
            forward = module.get_forward_function(use_flash_attn=True, use_full=False)
            mask = standins.neox_additive_mask(torch.ones(batch, tokens, dtype=torch.bool), packed.dtype)
            flash = forward(layer, packed, mask, torch.arange(tokens).expand(batch, tokens))[0].unflatten(-1, (heads, dim))
        self.assertEqual(int(((flash - right["o"]).abs().amax(-1) > 1e-9).sum()), 96)  # of 128 rows
        upper = slice(heads // 2, None)
        grouped = right["o"].clone()
        grouped[:, :, upper] = grouped[:, :, upper].roll(-g // 2, dims=1)
        scrambled = grouped.reshape(batch * tokens // g, g, heads, dim).transpose(1, 2).reshape(batch, tokens, heads, dim).clone()
        scrambled[:, :, upper] = scrambled[:, :, upper].roll(g // 2, dims=1)
        self.assertLess(float((flash - scrambled).abs().max()), 1e-14)

    def llama(self, kv_heads=2, mask=True, pretraining_tp=1, function="forward_noflashattn", **more):
        tokens, heads, dim = 16, 2, 4
        x = torch.from_numpy(np.random.RandomState(3).standard_normal((1, tokens, heads * dim)))
        project = lambda y: y[..., : kv_heads * dim].clone()
        layer = longlora.llama_layer({"heads": heads, "kvHeads": kv_heads, "headDim": dim}, torch.clone, project, project, torch.clone,
                                     *standins.null_tables(tokens, dim, x.dtype))
        layer.config.pretraining_tp = pretraining_tp
        for name in ("q_proj", "k_proj", "v_proj"):
            if pretraining_tp > 1:
                setattr(layer, name, types.SimpleNamespace(weight=torch.eye(heads * dim, dtype=x.dtype)))
        additive = standins.llama_additive_mask(torch.ones(1, tokens, dtype=torch.bool), x.dtype) if mask else None
        with UPSTREAM.patched("llama-eager", {}) as module:
            return x, getattr(module, function)(layer, x, additive, torch.arange(tokens)[None], **more)

    def test_eager_returns_a_shifted_cache_unless_kv_heads_are_repeated(self):
        for kv_heads, shifted in ((2, True), (1, False)):
            x, (_, _, cache) = self.llama(kv_heads=kv_heads, use_cache=True)
            keys = x[..., : kv_heads * 4].unflatten(-1, (kv_heads, 4)).transpose(1, 2)
            self.assertEqual([torch.equal(part, keys) for part in cache], [not shifted] * 2)

    def test_eager_cannot_shift_the_view_that_transformers_repeat_kv_returns_for_one_kv_head(self):
        expand = lambda x, count: x[:, :, None].expand(-1, -1, count, -1, -1).reshape(x.shape[0], x.shape[1] * count, *x.shape[2:])
        with UPSTREAM.patched("llama-eager", {"repeat_kv": expand}):
            core("llama-eager", 16, 4, kv_heads=2)
            core("llama-flash", 16, 4, kv_heads=1)
            with self.assertRaisesRegex(RuntimeError, "refers to a single memory location"):
                core("llama-eager", 16, 4, kv_heads=1)

    def test_pretraining_tp_uses_a_name_that_is_not_imported(self):
        with self.assertRaisesRegex(NameError, "'F' is not defined"):
            self.llama(pretraining_tp=2)

    def test_no_attention_mask_is_a_crash(self):
        with self.assertRaisesRegex(TypeError, "not subscriptable"):
            self.llama(mask=False)
        with self.assertRaisesRegex(AttributeError, "repeat"):
            self.llama(mask=False, function="forward_flashattn")

    def test_segments_pass_the_end_for_one_row_exactly_when_the_remainder_is_below_half_a_group(self):
        for tokens, g in ((16, 4), (20, 5), (32, 8)):
            for length in range(1, tokens + 1):
                standins.VarlenCalls.log.clear()
                core("llama-flash", tokens, 2, valid=torch.arange(tokens)[None] < length)
                starts, _, packed = standins.VarlenCalls.log[0]
                self.assertEqual(max(starts) > packed, 0 < length % g < g // 2, (tokens, length))


if __name__ == "__main__":
    unittest.main()
