// Can a stranger take a failure home: files from the command line, one question again, a unit test in Python?
using S2Attn.Conformance.Ports;
using S2Attn.Conformance.Reproducers;
using S2Attn.Conformance.Safetensors;
using S2Attn.Tests.Ports;

namespace S2Attn.Tests.Reproducers;

public sealed class ReproduceCommandTests
{
    private static readonly string Cli = Path.Combine(AppContext.BaseDirectory, "s2attn.dll");

    private static readonly string[] Kept = ["Leak.LocalCausal", "Agreement.Output", "Agreement.Gradients"];

    // What the author of a port would write at the marked line, for the sample port that S2ATTN_TEST_PORT names.
    private const string Adapter = """
        import importlib, os
        import numpy as np
        port = importlib.import_module(os.environ["S2ATTN_TEST_PORT"])

        def arguments(q, k, v, key_mask, group_size, shift, mask, shifted_heads, scale):
            config = dict(batch=q.shape[0], tokens=q.shape[1], heads=q.shape[2], headDim=q.shape[3], kvHeads=k.shape[2],
                          groupSize=group_size, shift=shift, mask=mask, shiftedHeads=shifted_heads, scale=scale)
            valid = np.ones(q.shape[:2], bool) if key_mask is None else key_mask
            return config, *(tensor.astype(np.float64) for tensor in (q, k, v)), valid

        def attention(q, k, v, *, key_mask, **names):
            result = port.forward(*arguments(q, k, v, key_mask, **names))
            return result["o"], result["lse"]

        def attention_backward(q, k, v, do, *, key_mask, **names):
            result = port.backward(*arguments(q, k, v, key_mask, **names), do.astype(np.float64))
            return result["dq"], result["dk"], result["dv"]
        """;

    [RequiresPythonFact("numpy")]
    public void A_wrong_NumPy_port_leaves_reproducers_and_Python_tests_that_see_it() => SamplePortTests.InTemporary(directory =>
    {
        Ports(directory);
        string wrong = $"{PortTool.PythonWithNumpy} wrong_port.py";
        string found = Expect(1, directory, "check", "--port", wrong, "--cases", "20", "--seed", "3", "--filter", "Leak", "--reproducers", "new/out")
            + Expect(1, directory, "check", "--port", wrong, "--cases", "20", "--seed", "3", "--filter", "Agreement", "--reproducers", "new/out");
        string folder = Path.Combine(directory, "new", "out");
        foreach (string name in Kept)
        {
            string tensors = Path.Combine(folder, $"{name}-1.safetensors"), test = Path.Combine(folder, $"test_{name.Replace('.', '_')}_1.py");
            Assert.All([tensors, test, Path.Combine(folder, $"{name}-1.md")], file => Assert.Contains("  " + file, found, StringComparison.Ordinal));
            Assert.Contains("wrong-rows does NOT agree: ", Expect(1, directory, "reproduce", tensors, "--port", wrong), StringComparison.Ordinal);
            Expect(0, directory, "reproduce", tensors, "--port", $"{PortTool.PythonWithNumpy} numpy_port.py");
            Assert.Contains("reference agrees", Expect(0, directory, "reproduce", tensors, "--port", "reference"), StringComparison.Ordinal);

            Python(directory, test, "numpy_port", passes: true, "OK");
            Python(directory, test, "wrong_port", passes: false, "; the definition gives ");
        }

        // Each command that the report names finds the same.
        string[] commands = [.. File.ReadLines(Path.Combine(folder, "Agreement.Output-1.md")).Where(line => line.StartsWith("    s2attn ", StringComparison.Ordinal))];
        Assert.Equal(2, commands.Length);
        Assert.EndsWith("--filter Agreement.Output --seed 3 --cases 20", commands[0], StringComparison.Ordinal);
        foreach ((string command, string expected) in commands.Zip(["wrong-rows: Agreement.Output fails", "wrong-rows does NOT agree: o["]))
        {
            string script = $"s2attn() {{ dotnet '{Cli}' \"$@\"; }}\n{command.Replace("Agreement.Output-1", "new/out/Agreement.Output-1", StringComparison.Ordinal)}";
            (int code, string output) = PortTool.Run("bash", ["-c", script], directory);
            Assert.True(code == 1 && output.Contains(expected, StringComparison.Ordinal), $"{command}: exit code {code}:\n{output}");
        }
    });

    [RequiresPythonFact("numpy")]
    public void Large_tensors_are_read_from_the_file_beside_the_test() => SamplePortTests.InTemporary(directory =>
    {
        Ports(directory);
        foreach ((ElementType type, bool backward) in new[] { (ElementType.BF16, false), (ElementType.F16, true), (ElementType.F32, false), (ElementType.F64, true) })
        {
            Reproducer reproducer = ReproducerTests.Drawn(type, backward, tokens: 26);
            string test = Path.Combine(directory, $"test_{type}.py");
            SafetensorsWriter.Write(Path.Combine(directory, $"{type}.safetensors"), ReproducerFile.Of(reproducer));
            File.WriteAllText(test, PythonTest.Write(reproducer, reproducer.Expected[^1].Name, $"{type}.safetensors", "nobody"));
            Assert.Contains("TENSORS[\"q\"]", File.ReadAllText(test), StringComparison.Ordinal);
            Python(directory, test, "numpy_port", passes: true, "OK");
            Python(directory, test, "wrong_port", passes: false, "; the definition gives ");
        }
    });

    [Theory]
    [InlineData("check --port reference --filter Determinism --cases 2 --reproducers LICENSE", 2, "LICENSE")]
    [InlineData("reproduce LICENSE --port reference", 2, "LICENSE: the header claims")]
    [InlineData("reproduce no-such-file --port reference", 2, "no-such-file: cannot be read")]
    [InlineData("reproduce . --port reference", 2, ".: cannot be read")]
    [InlineData("reproduce LICENSE", 2, "exactly one of --port")]
    [InlineData("reproduce --port reference", 2, "file.safetensors")]
    public void A_command_says_what_is_wrong(string arguments, int exitCode, string expected)
    {
        (int code, string output) = PortTool.Run("dotnet", [Cli, .. arguments.Split(' ')], Repository.Root);
        Assert.True(code == exitCode && output.Contains(expected, StringComparison.Ordinal), $"exit code {code}:\n{output}");
        Assert.DoesNotContain("   at ", output, StringComparison.Ordinal);
    }

    [Fact]
    public void A_port_that_does_not_claim_the_case_is_no_agreement() => SamplePortTests.InTemporary(directory =>
    {
        SafetensorsWriter.Write(Path.Combine(directory, "case.safetensors"), ReproducerFile.Of(ReproducerTests.Drawn(ElementType.F64, backward: false)));
        string output = Expect(2, directory, "reproduce", "case.safetensors", "--port", "optimized");
        Assert.Contains("does not claim the case: dtypes:f64", output, StringComparison.Ordinal);
    });

    /// <summary>A right port agrees, and one wrong number of one tensor is enough.</summary>
    [Fact]
    public void One_wrong_number_is_no_agreement() => SamplePortTests.InTemporary(directory =>
    {
        Reproducer one = ReproducerTests.Drawn(ElementType.F32, backward: false);
        SafetensorsWriter.Write(Path.Combine(directory, "right.safetensors"), ReproducerFile.Of(one));
        Assert.Contains("agrees", Expect(0, directory, "reproduce", "right.safetensors", "--port", "reference"), StringComparison.Ordinal);
        for (int tensor = 0; tensor < one.Expected.Length; tensor++)
        {
            ExpectedTensor changed = one.Expected[tensor];
            int at = Enumerable.Range(0, changed.Exact.Elements.Length).Last(element => double.IsFinite(changed.Exact.Elements[element])), i = 0;
            ExpectedTensor wrong = changed with { Exact = changed.Exact.Map(value => i++ == at ? (float)(value + 1) : value) };
            SafetensorsWriter.Write(Path.Combine(directory, "wrong.safetensors"), ReproducerFile.Of(one with { Expected = one.Expected.SetItem(tensor, wrong) }));
            string output = Expect(1, directory, "reproduce", "wrong.safetensors", "--port", "reference");
            Assert.Contains($"does NOT agree: {changed.Name}[", output, StringComparison.Ordinal);
            Assert.DoesNotContain("elements more", output, StringComparison.Ordinal);
        }
    });

    private static void Ports(string directory)
    {
        string right = File.ReadAllText(SamplePortTests.Sample("numpy", "numpy_port.py"));
        string wrong = right.Replace("(t - shift) % ring", "(t + shift) % ring", StringComparison.Ordinal).Replace("numpy-rows", "wrong-rows", StringComparison.Ordinal);
        Assert.NotEqual(right, wrong);
        File.WriteAllText(Path.Combine(directory, "numpy_port.py"), right);
        File.WriteAllText(Path.Combine(directory, "wrong_port.py"), wrong);
        File.WriteAllText(Path.Combine(directory, "my_attention.py"), Adapter);
    }

    private static void Python(string directory, string test, string port, bool passes, string expected)
    {
        (int code, string output) = PortTool.Run("env", [$"PYTHONPATH={directory}", $"S2ATTN_TEST_PORT={port}", PortTool.PythonWithNumpy, "-W", "error", test], Path.GetTempPath());
        Assert.True((code == 0) == passes && output.Contains(expected, StringComparison.Ordinal), $"{test} with {port}: exit code {code}:\n{output}");
    }

    private static string Expect(int exitCode, string directory, params string[] arguments)
    {
        (int code, string output) = PortTool.Run("dotnet", [Cli, .. arguments], directory);
        Assert.True(code == exitCode, $"{string.Join(' ', arguments)}: exit code {code}:\n{output}");
        return output;
    }
}
