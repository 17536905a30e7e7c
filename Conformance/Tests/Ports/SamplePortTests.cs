// Does every sample port deliver what it claims?
using System.Collections.Immutable;
using S2Attn.Conformance;
using S2Attn.Conformance.Ports;
using S2Attn.Conformance.Properties;
using S2Attn.Conformance.Reports;
using S2Attn.Conformance.Running;
using S2Attn.Reference;
using S2Attn.Spec;
using S2Attn.Tests.Tools;

namespace S2Attn.Tests.Ports;

public sealed class SamplePortTests
{
    private static readonly PortLevel[] AllButHalf = [PortLevel.Forward, PortLevel.MasksAndPadding, PortLevel.GroupedAndOddSizes];

    [RequiresPythonFact("numpy")]
    public void NumPy() => Check($"{PortTool.PythonWithNumpy} '{Sample("numpy", "numpy_port.py")}'", UpToGradients);

    [RequiresPythonFact("torch")]
    public void PyTorch() => Check($"{PortTool.PythonWithTorch} '{Sample("pytorch", "pytorch_port.py")}'", UpToGradients);

    [RequiresToolFact("node")]
    public void JavaScript() => Check($"node '{Sample("javascript", "javascript_port.mjs")}'", AllButHalf);

    [RequiresToolFact("dotnet")]
    public void FSharp() => InTemporary(directory =>
    {
        Succeed("dotnet", "build", Sample("fsharp", "FSharpPort.fsproj"), "-c", "Release", "-v", "q", "-o", directory, "-p:BaseIntermediateOutputPath=" + directory + "/obj/");
        Check($"dotnet '{directory}/fsharp_port.dll'", [.. AllButHalf, PortLevel.HalfPrecision]);
    });

    [RequiresToolFact("cc")]
    public void C_as_a_process() => InTemporary(directory =>
    {
        string program = Path.Combine(directory, "process_port");
        Compile("-o", program, Sample("c", "process_port.c"), Sample("c", "native_port.c"), "-lm");
        Check($"'{program}'", UpToGradients);
    });

    [RequiresToolFact("cc")]
    public void C_as_a_library() => InTemporary(directory =>
    {
        string library = Path.Combine(directory, "libnative_port.so");
        Compile("-shared", "-fPIC", "-o", library, Sample("c", "native_port.c"), "-lm");
        using IAttentionPort port = PortFactory.CreateNative(new ProcessPortOptions(), library);
        Check(port, UpToGradients);
    });

    internal static void Compile(params string[] arguments) => Succeed("cc", ["-std=c99", "-Wall", "-Wextra", "-Werror", "-O2", .. arguments]);

    internal static string Sample(params string[] parts) => Path.Combine([Repository.Root, "Conformance", "Ports", .. parts]);

    internal static void InTemporary(Action<string> test)
    {
        string directory = Directory.CreateTempSubdirectory("s2attn-sample-").FullName;
        try
        {
            test(directory);
        }
        finally
        {
            Directory.Delete(directory, recursive: true);
        }
    }

    // What the samples claim: level 6 is asked of every port, and claimed by none that others start from.
    internal static PortLevel[] UpToGradients => [.. PortLevels.All.Where(level => level is not PortLevel.Isolation)];

    /// <summary>Asks every kind of case that the port claims, compares each answer with Reference under its error bound, and runs the suite.</summary>
    internal static void Check(IAttentionPort port, PortLevel[] levels)
    {
        PortCapabilities capabilities = port.Description.Capabilities;
        Assert.Equal(levels, PortLevels.Claimed(capabilities).ToArray());
        int asked = 0;
        foreach (PortCase portCase in Cases().Where(portCase => PortSupport.Lacks(capabilities, portCase).IsEmpty))
        {
            asked++;
            PortAnswer answer = port.Run(portCase);
            if (answer is PortAnswer.Failed failed)
                Assert.Fail($"{portCase.Config} {portCase.ElementType} {portCase.Operation}: {failed.Kind}: {failed.Message}");
            foreach (TensorAgreement tensor in Agreement.Compare(portCase, answer, Agreement.ModelOf(portCase.ElementType)))
                Assert.True(tensor.Agrees, $"{portCase.Config} {portCase.ElementType} {portCase.Operation} padded {portCase.IsPadded}: {tensor}");
        }

        Assert.True(asked >= 20, $"only {asked} cases were asked");
        PropertyResult[] results = [.. SuiteRunner.Results(new SuiteOptions { Seed = 1, Cases = 16 }, PropertyCatalogue.All, "sample", port)];
        string bad = string.Join("\n", results.Where(result => result.IsBad).Select(result => $"{result.Name}: {result.Counterexample[0].Case}: {result.Counterexample[0].Reason}"));
        Assert.True(bad.Length == 0, bad);
        Assert.All(
            results.Where(result => IsAsked(result.Name)),
            result => Assert.True(result is { Outcome: Outcome.Holds, Cases: > 0 }, $"{result.Name}: {result.Outcome} of {result.Cases} cases"));
        Assert.Equal([.. levels, PortLevel.Isolation], ReportPort.Of("sample", port.Description, results, whole: true).Earned.ToArray());

        // No level asks for grids and prefixes: their properties are looked at by name.
        bool IsAsked(string name) =>
            ((capabilities.Grids && name.StartsWith("Grids.", StringComparison.Ordinal)) || (capabilities.Prefixes && name.StartsWith("Prefixes.", StringComparison.Ordinal)))
            && (capabilities.Operations.Contains(PortOperation.Backward) || !name.EndsWith("Gradients", StringComparison.Ordinal))
            && (capabilities.Slices || !name.EndsWith("Slice", StringComparison.Ordinal));
    }

    internal static void Check(string command, PortLevel[] levels)
    {
        using ProcessPort port = ProcessPort.Start(command, new());
        Check(port, levels);
        Assert.Equal(0, port.Restarts);
    }

    private static IEnumerable<PortCase> Cases()
    {
        int seed = 100;
        HeadShift[] heads = [HeadShift.SecondHalf, HeadShift.None, HeadShift.All, HeadShift.Of([true, false, true, false])];
        foreach (MaskPolicy mask in MaskPolicies.All)
            foreach (ElementType type in Enum.GetValues<ElementType>())
                foreach (bool backward in new[] { false, true })
                    foreach (bool padded in new[] { false, true })
                    {
                        seed++;
                        S2Config even = S2Config.Create(new() { Batch = 2, Tokens = 12, Heads = 4, HeadDim = 4, GroupSize = GroupSizeRule.Of(4), Mask = mask });
                        S2Config odd = S2Config.Create(even.ToRequest() with
                        {
                            KvHeads = seed % 2 + 1,
                            Tokens = mask.CutsWrappedRun() ? 13 : 15,
                            GroupSize = GroupSizeRule.Of(5),
                            Shift = seed % 5,
                            ShiftedHeads = heads[seed % heads.Length],
                            Scale = 1.5,
                        });
                        yield return Draw(even);
                        yield return Draw(odd);

                        PortCase Draw(S2Config config) => Poisoned(PortCases.Draw(config, type, backward, padded, seed));
                    }

        S2Config one = S2Config.Create(new() { Tokens = 1, HeadDim = 1, GroupSize = GroupSizeRule.Of(1), Mask = MaskPolicy.LocalCausal });
        yield return PortCases.Draw(one, ElementType.F32, backward: false, padded: false, seed);
        yield return PortCases.Draw(one, ElementType.F32, backward: true, padded: true, seed);
    }

    // Padded keys and values hold NaN, which must not reach any output.
    private static PortCase Poisoned(PortCase portCase)
    {
        AttentionInput<double> input = portCase.Input;
        return portCase with { Input = input with { Key = Poison(input.Key), Value = Poison(input.Value) } };

        Tensor<double> Poison(Tensor<double> tensor)
        {
            int row = tensor.Shape[2] * tensor.Shape[3];
            double[] elements = tensor.Elements.ToArray();
            for (int i = 0; i < elements.Length; i++)
                if (!input.Valid.Elements[i / row])
                    elements[i] = double.NaN;
            return Tensor<double>.Of(tensor.Shape.AsSpan(), elements);
        }
    }

    private static void Succeed(string program, params string[] arguments)
    {
        (int code, string output) = PortTool.Run(program, arguments);
        Assert.True(code == 0, $"{program} {string.Join(' ', arguments)} exited with {code}:\n{output}");
    }
}
