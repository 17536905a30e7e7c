# Do the operators for torch.compile keep to the contract of torch.library, with right shapes and derivatives? Held against a stand-in, since torch here is older than 2.4.
import inspect
import re

import pytest
import torch

from conftest import draw
from s2attn import _operators
from s2attn._arguments import Settings
from s2attn.functional import s2_attn_func

SETTINGS = Settings.of(6, "split", 2, [True, False, True, False], 0.25)


class Operator:
    """What torch.library.custom_op returns: checks a call by the schema, differentiates by what was registered, and runs the fake on meta tensors."""

    def __init__(self, name, function, schema):
        self.name, self.function, self.fake, self.derivative = name, function, None, None
        given, returned = re.fullmatch(r"\((.*)\) -> \((.*)\)", schema).groups()
        self.parameters = [part.rsplit(" ", 1) for part in given.split(", ")]
        self.returned = returned.split(", ")
        assert [name for _, name in self.parameters] == list(inspect.signature(function).parameters)

    def register_fake(self, function):
        self.fake = function

    def register_autograd(self, backward, *, setup_context):
        self.derivative = (backward, setup_context)

    def __call__(self, *arguments):
        assert len(arguments) == len(self.parameters)
        for (kind, name), value in zip(self.parameters, arguments):
            assert isinstance(value, str) if kind == "str" else (value is None and kind.endswith("?")) or isinstance(value, torch.Tensor), name
        run = self.fake if any(isinstance(value, torch.Tensor) and value.is_meta for value in arguments) else self.function
        if self.derivative is None:
            return self._checked(run(*arguments))
        operator = self

        class Recorded(torch.autograd.Function):
            @staticmethod
            def forward(ctx, *inputs):
                output = operator._checked(run(*inputs))
                operator.derivative[1](ctx, inputs, output)
                return output

            @staticmethod
            def backward(ctx, *gradients):
                given = operator.derivative[0](ctx, *gradients)
                assert len(given) == len(operator.parameters)
                return given

        return Recorded.apply(*arguments)

    def _checked(self, output):
        assert isinstance(output, tuple) and len(output) == len(self.returned) and all(isinstance(tensor, torch.Tensor) for tensor in output)
        return output


class Library:
    def custom_op(self, name, fn=None, /, *, mutates_args, device_types=None, schema=None):
        assert re.fullmatch(r"\w+::\w+", name) and tuple(mutates_args) == () and device_types == "cpu"
        return Operator(name, fn, schema)


@pytest.fixture(scope="module")
def operators():
    return _operators.register(Library())


def given(packed=False):
    q, k, v, do = (torch.from_numpy(x) for x in draw(1, 2, 24, 4, 2, 8))
    return [x[0] if packed else x for x in (q, k, v)], do[0] if packed else do


@pytest.mark.parametrize("packed", [False, True])
def test_the_operator_is_the_function_with_its_gradients(operators, packed):
    leaves, do = given(packed)
    leaves = [x.requires_grad_() for x in leaves]
    ends = torch.tensor([0, 10, 24]) if packed else None
    o, lse = operators[0](*leaves, None, ends, _operators.encode(SETTINGS))
    (o * do).sum().backward()
    again = [x.detach().clone().requires_grad_() for x in leaves]
    from s2attn.functional import s2_attn_varlen_func
    settings = {"mask": "split", "shift": 2, "shifted_heads": [True, False, True, False], "softmax_scale": 0.25, "return_lse": True}
    o2, lse2 = s2_attn_varlen_func(*again, ends, 6, **settings) if packed else s2_attn_func(*again, 6, **settings)
    (o2 * do).sum().backward()
    assert torch.equal(o, o2) and torch.equal(lse, lse2)
    assert all(torch.equal(x.grad, y.grad) for x, y in zip(leaves, again))


@pytest.mark.parametrize("packed", [False, True])
def test_the_fakes_have_the_shapes_types_and_strides_of_the_real_results(operators, packed):
    leaves, do = given(packed)
    ends = torch.tensor([0, 10, 24]) if packed else None
    text = _operators.encode(SETTINGS)
    meta = lambda x: None if x is None else x.to("meta")
    real = operators[0](*leaves, None, ends, text)
    fake = operators[0](*map(meta, leaves), None, meta(ends), text)
    real += operators[1](*leaves, None, ends, *real, do, torch.zeros_like(real[1]), text)
    fake += operators[1](*map(meta, leaves), None, meta(ends), *fake, meta(do), torch.zeros_like(fake[1]), text)
    assert [(x.shape, x.dtype, x.stride()) for x in real] == [(x.shape, x.dtype, x.stride()) for x in fake]


def test_settings_survive_as_text():
    for settings in (SETTINGS, Settings.of(0.25, "local_causal", None, "all", None), Settings.of("sft", "split", None, "none", 0.1)):
        assert _operators.decode(_operators.encode(settings)) == settings


def test_an_older_torch_says_what_tracing_needs(monkeypatch):
    if hasattr(torch.library, "custom_op"):
        pytest.skip("torch has torch.library.custom_op: the real operators are in use")
    with pytest.raises(RuntimeError, match="need torch 2.4 or later"):
        _operators.forward(SETTINGS, *given()[0], None, None)


def test_compile_gives_what_eager_gives():
    if not hasattr(torch.library, "custom_op"):
        pytest.skip("did not run: torch.compile needs torch 2.4 or later")
    leaves, _ = given()
    compiled = torch.compile(lambda q, k, v: s2_attn_func(q, k, v, 6, mask="split"), fullgraph=True, backend="aot_eager")
    assert torch.equal(compiled(*leaves), s2_attn_func(*leaves, 6, mask="split"))
