// Does bench find PyTorch's fused attention where an interpreter has it, and say why where it has none?
using S2Attn.Conformance.Bench;
using S2Attn.Tests.Ports;

namespace S2Attn.Tests.Bench;

public sealed class TorchPeerTests
{
    private static readonly BenchCase Small = new(Conformance.Protocol.ElementType.F32, 4, 32, 8, 16, 1, WithBackward: true, WithPeers: true);

    [RequiresPythonFact("torch")]
    public void An_interpreter_with_fused_attention_becomes_a_peer() => SamplePortTests.InTemporary(directory =>
    {
        // What PyTorch 2 calls so, on one that is older.
        File.WriteAllText(Path.Combine(directory, "sitecustomize.py"), """
            import torch
            def attend(q, k, v, is_causal):
                assert is_causal and q.shape == k.shape == v.shape == (4, 4, 8, 16), q.shape
                later = torch.ones(q.shape[2], q.shape[2], dtype=torch.bool).triu(1)
                return (q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5).masked_fill(later, float("-inf")).softmax(-1) @ v
            torch.nn.functional.scaled_dot_product_attention = attend
            """);
        string python = Interpreter(directory);
        Assert.True(BenchRunner.Measure(Small, 1, python).VsTorch > 0);
        Assert.True(BenchRunner.Measure(Small with { WithBackward = false }, 1, python).VsTorch > 0);
        Assert.Contains("; torch ", BenchMachine.Describe(python).Peers, StringComparison.Ordinal);
    });

    [RequiresPythonFact("numpy")]
    public void An_interpreter_without_it_is_named_with_the_reason() => SamplePortTests.InTemporary(directory =>
    {
        Directory.CreateDirectory(Path.Combine(directory, "torch"));
        File.WriteAllText(Path.Combine(directory, "torch", "__init__.py"), "raise ImportError('too old')");
        string python = Interpreter(directory);
        Assert.Null(BenchRunner.Measure(Small, 1, python).VsTorch);
        Assert.Contains("libtorch is not measured (missing: too old)", BenchMachine.Describe(python).Peers, StringComparison.Ordinal);
        Assert.Contains("not asked for", BenchMachine.Describe().Peers, StringComparison.Ordinal);
        Assert.Contains("no-such-python", Assert.Throws<InvalidOperationException>(() => BenchRunner.Measure(Small, 1, "no-such-python")).Message, StringComparison.Ordinal);
    });

    // One that looks into the folder first.
    private static string Interpreter(string directory)
    {
        string python = Path.Combine(directory, "python");
        File.WriteAllText(python, $"#!/bin/sh\nPYTHONPATH='{directory}' exec {PortTool.PythonWithNumpy} \"$@\"\n");
        (int code, string output) = PortTool.Run("chmod", ["+x", python], directory);
        Assert.True(code == 0, output);
        return python;
    }
}
