// Does s2attn::S2Attention compute S2-Attn inside ONNX Runtime, and are its indices those of ONNX Runtime's header?
using System.Text.RegularExpressions;
using Microsoft.ML.OnnxRuntime;
using S2Attn.Conformance;
using S2Attn.Conformance.Onnx;
using S2Attn.Conformance.Ports;
using S2Attn.Conformance.Properties;
using S2Attn.Conformance.Reports;
using S2Attn.Conformance.Running;
using S2Attn.Spec;
using S2Attn.Tests.Ports;
using S2Attn.Tests.Tools;

namespace S2Attn.Tests.Native;

public sealed partial class OnnxOperatorTests
{
    private static readonly bool[] Booleans = [false, true];

    [RequiresToolTheory("gcc", "clang")]
    [InlineData(MaskPolicy.LocalCausal, ElementType.F32, 4, 1)]
    [InlineData(MaskPolicy.Split, ElementType.F32, 5, 2)]
    [InlineData(MaskPolicy.PositionCausal, ElementType.F16, 4, 1)]
    [InlineData(MaskPolicy.BidirectionalSplit, ElementType.BF16, 3, 1)]
    public void The_operator_agrees_with_Reference(MaskPolicy mask, ElementType elementType, int groupSize, int threads) => SamplePortTests.InTemporary(directory =>
    {
        string path = Path.Combine(directory, "model.onnx");
        File.WriteAllBytes(path, CustomOpGraph.Build(mask, groupSize, groupSize / 2, elementType, HeadShift.SecondHalf, threads));
        using IAttentionPort port = PortFactory.CreateOnnx(new ProcessPortOptions(), path, [$"library={NativeBuild.Library}"]);
        foreach ((int batch, int groups, int heads, int kvHeads, int headDim) in new[] { (1, 1, 1, 1, 1), (2, 3, 4, 2, 8), (1, 9, 5, 1, 3), (2, 3, 4, 2, 8) })
        {
            S2Config config = S2Config.Create(new()
            {
                Batch = batch,
                Tokens = groups * groupSize,
                Heads = heads,
                KvHeads = kvHeads,
                HeadDim = headDim,
                GroupSize = GroupSizeRule.Of(groupSize),
                Mask = mask,
            });
            foreach (bool padded in Booleans)
            {
                PortCase portCase = PortCases.Draw(config, elementType, backward: false, padded: padded, seed: 7);
                foreach (TensorAgreement tensor in Agreement.Compare(portCase, port.Run(portCase), Agreement.ModelOf(elementType)))
                    Assert.True(tensor.Agrees, $"{config} {elementType}: {tensor}");
            }
        }
    });

    public static TheoryData<HeadShift, int> OwnShifts() => new()
    {
        { HeadShift.Phased(3), 4 },
        { HeadShift.Phased(2, isRotated: true), 6 },
        { HeadShift.Each([0, 5, 2, 0, 1, 5]), 6 },
    };

    [RequiresToolTheory("gcc", "clang")]
    [MemberData(nameof(OwnShifts))]
    public void Heads_with_shifts_of_their_own_agree_with_Reference_and_other_shifts_are_not_asked(HeadShift shifts, int heads) => SamplePortTests.InTemporary(directory =>
    {
        string path = Path.Combine(directory, "model.onnx");
        File.WriteAllBytes(path, CustomOpGraph.Build(MaskPolicy.Split, 6, 0, ElementType.F32, shifts, threads: 1));
        using IAttentionPort port = PortFactory.CreateOnnx(new ProcessPortOptions(), path, [$"library={NativeBuild.Library}"]);
        S2Request request = new() { Batch = 2, Tokens = 21, Heads = heads, KvHeads = heads / 2, HeadDim = 8, GroupSize = GroupSizeRule.Of(6), Mask = MaskPolicy.Split, ShiftedHeads = shifts };
        PortCase portCase = PortCases.Draw(S2Config.Create(request), ElementType.F32, backward: false, padded: true, seed: 7);
        foreach (TensorAgreement tensor in Agreement.Compare(portCase, port.Run(portCase), Agreement.ModelOf(ElementType.F32)))
            Assert.True(tensor.Agrees, $"{portCase.Config}: {tensor}");
        S2Config other = S2Config.Create(request with { ShiftedHeads = HeadShift.Each(Enumerable.Repeat(3, heads)) });
        Assert.Contains("fixed.shiftedHeads", Assert.IsType<PortAnswer.Unsupported>(port.Run(PortCases.Draw(other, ElementType.F32, backward: false, padded: false, seed: 7))).Reason, StringComparison.Ordinal);
        PropertyResult[] results = [.. SuiteRunner.Results(new SuiteOptions { Seed = 1, Cases = 3 }, PropertyCatalogue.All, "operator", port)];
        string bad = string.Join("\n", results.Where(result => result.IsBad).Select(result => $"{result.Name}: {result.Counterexample[0].Case}: {result.Counterexample[0].Reason}"));
        Assert.True(bad.Length == 0, bad);
        Assert.Contains(results, result => result is { Name: "Agreement.Output", Outcome: Outcome.Holds, Cases: > 0 });
    });

    [RequiresToolTheory("gcc", "clang")]
    [InlineData("shifts and phases are given", "shifts", "phases")]
    [InlineData("shift and shiftedHeads must not be given beside it", "shifts", "shift")]
    [InlineData("shift and shiftedHeads must not be given beside it", "phases", "shiftedHeads")]
    [InlineData("rotated = 1: must be 0 or 1, beside phases", "rotated")]
    [InlineData("ShiftedHeads", "shifts")]
    [InlineData("groupSize, shift, shifts and phases must not be beside them", "axes")]
    [InlineData("prefix = -1: must be at least 0", "prefix")]
    [InlineData("prefixWhole = 1: must be 0 or 1, beside prefix", "prefixWhole")]
    public void Attributes_that_contradict_each_other_are_a_message(string expected, params string[] names)
    {
        Dictionary<string, object> values = new() { ["shifts"] = new long[] { 0, 4 }, ["phases"] = 2, ["shift"] = 1, ["shiftedHeads"] = "All", ["rotated"] = 1, ["axes"] = new long[] { 4, 2, 1, 2, 2, -1 }, ["prefix"] = -1, ["prefixWhole"] = 1 };
        OnnxGraph graph = new("contradicting");
        const int Float = 1;
        string[] inputs = [graph.TypedInput("q", Float, "B", "N", "H", "D"), graph.TypedInput("k", Float, "B", "N", "K", "D"), graph.TypedInput("v", Float, "B", "N", "K", "D")];
        graph.CustomNode("S2Attention", [.. inputs], [("o", Float, ["B", "N", "H", "D"])], [("groupSize", 4), ("mask", "Split"), .. names.Select(name => (name, values[name]))]);
        Assert.Contains(expected, RunOf(graph).Message, StringComparison.Ordinal);
    }

    // What a session says of a wrong node, when it is made or run.
    private static OnnxRuntimeException RunOf(OnnxGraph graph)
    {
        using SessionOptions options = new();
        options.RegisterCustomOpLibraryV2(NativeBuild.Library, out _);
        return Assert.Throws<OnnxRuntimeException>(() =>
        {
            using InferenceSession session = new(graph.ToCustomModel(), options);
            using OrtValue q = OrtValue.CreateTensorValueFromMemory(new float[8 * 2 * 3], [1, 8, 2, 3]);
            using RunOptions run = new();
            session.Run(run, new Dictionary<string, OrtValue> { ["q"] = q, ["k"] = q, ["v"] = q }, ["o"]).Dispose();
        });
    }

    /// <summary>A model has its axes built in: the suite asks it about these, and about no text.</summary>
    [RequiresToolFact("gcc", "clang")]
    public void A_model_of_tokens_on_several_axes_is_checked_by_the_suite() => SamplePortTests.InTemporary(directory =>
    {
        string path = Path.Combine(directory, "model.onnx");
        S2Grid grid = S2Grid.Create(
            S2Config.Create(new() { Tokens = 7 * 8, HeadDim = 1, GroupSize = GroupSizeRule.Of(7 * 8), Shift = 0, Mask = MaskPolicy.BidirectionalSplit, ShiftedHeads = HeadShift.All }), new GridAxis<int>(7, 3, 1), new(8, 4, 2));
        File.WriteAllBytes(path, CustomOpGraph.Build(grid, ElementType.F32, threads: 1));
        using IAttentionPort port = PortFactory.CreateOnnx(new ProcessPortOptions(), path, [$"library={NativeBuild.Library}"]);
        Assert.Equal(grid.Axes.ToArray(), port.Description.Capabilities.Fixed.Axes.ToArray());
        PropertyResult[] results = [.. SuiteRunner.Results(new SuiteOptions { Seed = 1, Cases = 10 }, PropertyCatalogue.All, "operator", port)];
        Assert.Empty(results.Where(result => result.IsBad).Select(result => $"{result.Name}: {result.Counterexample[0].Case}: {result.Counterexample[0].Reason}"));
        Assert.All(["Grids.Output", "Grids.Visibility"], name => Assert.True(results.Single(result => result.Name == name) is { Outcome: Outcome.Holds, Cases: > 0 }, name));
        Assert.Contains("fixed.axes", results.First(result => result.Name == "Agreement.Output").Unsupported.Keys);

        // The other axis first is another model.
        File.WriteAllBytes(path, CustomOpGraph.Build(S2Grid.Create(grid.Tokens, grid.Axes.Reverse()), ElementType.F32, threads: 1));
        using IAttentionPort swapped = PortFactory.CreateOnnx(
            new ProcessPortOptions(), path, [$"library={NativeBuild.Library}", """axes=[{"tokens":7,"groupSize":3,"shift":1},{"tokens":8,"groupSize":4,"shift":2}]"""]);
        Assert.Equal(Outcome.Fails, SuiteRunner.Results(new SuiteOptions { Seed = 1, Cases = 10 }, PropertyCatalogue.All.Where(property => property.Name == "Grids.Output"), "swapped", swapped).Single().Outcome);
    });

    /// <summary>Sinks and a prefix that is seen whole, in groups before and behind its end; a text that is shorter than its prefix is a message.</summary>
    [RequiresToolTheory("gcc", "clang")]
    [InlineData(MaskPolicy.Split, ElementType.F32, 5, false)]
    [InlineData(MaskPolicy.LocalCausal, ElementType.BF16, 7, true)]
    public void A_model_with_a_prefix_is_checked_by_the_suite(MaskPolicy mask, ElementType elementType, int prefix, bool isWhole) => SamplePortTests.InTemporary(directory =>
    {
        string path = Path.Combine(directory, "model.onnx");
        byte[] model = CustomOpGraph.Build(mask, 4, 2, elementType, HeadShift.SecondHalf, threads: 1, prefix: prefix, isPrefixWhole: isWhole);
        File.WriteAllBytes(path, model);
        PropertyResult[] results = Results();
        Assert.Empty(results.Where(result => result.IsBad).Select(result => $"{result.Name}: {result.Counterexample[0].Case}: {result.Counterexample[0].Reason}"));
        Assert.All(["Prefixes.Visibility", "Prefixes.Output"], name => Assert.True(results.Single(result => result.Name == name) is { Outcome: Outcome.Holds, Cases: > 0 }, name));
        Assert.Equal(Outcome.Fails, Results($"prefixWhole={(isWhole ? "false" : "true")}").Single(result => result.Name == "Prefixes.Visibility").Outcome);
        using IAttentionPort undeclared = PortFactory.CreateOnnx(new ProcessPortOptions(), path, [$"library={NativeBuild.Library}", "prefix=1"]);
        PortCase shorter = PortCases.Draw(
            S2Config.Create(new() { Tokens = 4, Heads = 2, HeadDim = 3, GroupSize = GroupSizeRule.Of(4), Mask = mask, Prefix = 1, IsPrefixWhole = isWhole }), elementType, backward: false, padded: false, seed: 7);
        Assert.Contains($"Prefix = {prefix}: must be at most Tokens = 4", Assert.IsType<PortAnswer.Failed>(undeclared.Run(shorter)).Message, StringComparison.Ordinal);

        PropertyResult[] Results(params string[] settings)
        {
            using IAttentionPort port = PortFactory.CreateOnnx(new ProcessPortOptions(), path, [$"library={NativeBuild.Library}", .. settings]);
            return [.. SuiteRunner.Results(new SuiteOptions { Seed = 1, Cases = 10 }, PropertyCatalogue.All, "operator", port)];
        }
    });

    [RequiresToolTheory("gcc", "clang")]
    [InlineData("axes has 4 integers", 4, 2, 1, 2)]
    [InlineData("axes has -2", 4, 2, -2, 2, 2, -1)]
    [InlineData("Axes[1].Shift = 2: must be from 0 to GroupSize - 1 = 1", 4, 2, 1, 2, 2, 2)]
    [InlineData("must have Tokens = 8 places", 4, 2, 1, 4, 2, 1)]
    public void Wrong_axes_are_a_message(string expected, params int[] axes)
    {
        OnnxGraph graph = new("axes");
        const int Float = 1;
        string[] inputs = [graph.TypedInput("q", Float, "B", "N", "H", "D"), graph.TypedInput("k", Float, "B", "N", "K", "D"), graph.TypedInput("v", Float, "B", "N", "K", "D")];
        graph.CustomNode("S2Attention", [.. inputs], [("o", Float, ["B", "N", "H", "D"])], [("axes", axes.Select(number => (long)number).ToArray()), ("mask", "Split")]);
        Assert.Contains(expected, RunOf(graph).Message, StringComparison.Ordinal);
    }

    [RequiresToolFact("gcc", "clang")]
    public void The_operator_earns_every_level_of_a_forward_pass() => SamplePortTests.InTemporary(directory =>
    {
        using OperatorPort port = new(directory, NativeBuild.Library);
        SamplePortTests.Check(port, [PortLevel.Forward, PortLevel.MasksAndPadding, PortLevel.GroupedAndOddSizes, PortLevel.HalfPrecision]);
    });

    [RequiresToolFact("gcc", "clang")]
    public void A_model_of_the_operator_is_checked_by_the_suite() => SamplePortTests.InTemporary(directory =>
    {
        string path = Path.Combine(directory, "model.onnx");
        File.WriteAllBytes(path, CustomOpGraph.Build(MaskPolicy.Split, 4, 2, ElementType.F32, HeadShift.SecondHalf, 1));
        using IAttentionPort port = PortFactory.CreateOnnx(new ProcessPortOptions(), path, [$"library={NativeBuild.Library}"]);
        PropertyResult[] results = [.. SuiteRunner.Results(new SuiteOptions { Seed = 1, Cases = 10 }, PropertyCatalogue.All, "operator", port)];
        Assert.Empty(results.Where(result => result.IsBad).Select(result => $"{result.Name}: {result.Counterexample[0].Case}: {result.Counterexample[0].Reason}"));
        Assert.Contains(PortLevel.Forward, ReportPort.Of("operator", port.Description, results, whole: true).Earned);
    });

    [RequiresToolFact("gcc", "clang")]
    public void A_wrong_attribute_or_shape_is_a_message_and_no_crash()
    {
        using SessionOptions options = new();
        options.RegisterCustomOpLibraryV2(NativeBuild.Library, out _);
        byte[] model = CustomOpGraph.Build(MaskPolicy.LocalCausal, 4, 2, ElementType.F32, HeadShift.SecondHalf, 1);
        using InferenceSession session = new(model, options);
        using OrtValue q = OrtValue.CreateTensorValueFromMemory(new float[6 * 2 * 3], [1, 6, 2, 3]);
        using OrtValue valid = OrtValue.CreateTensorValueFromMemory(new byte[6], [1, 6]);
        using RunOptions run = new();
        Dictionary<string, OrtValue> inputs = new() { ["q"] = q, ["k"] = q, ["v"] = q, ["valid"] = valid };
        OnnxRuntimeException error = Assert.Throws<OnnxRuntimeException>(() => session.Run(run, inputs, ["o"]).Dispose());
        Assert.Contains("GroupSize = 4: must divide Tokens = 6", error.Message);
        using OrtValue wrong = OrtValue.CreateTensorValueFromMemory(new float[8 * 2 * 3], [1, 8, 2, 3]);
        inputs["k"] = wrong;
        error = Assert.Throws<OnnxRuntimeException>(() => session.Run(run, inputs, ["o"]).Dispose());
        Assert.Contains("k [1,8,2,3]", error.Message);
    }

    /// <summary>A node keeps some plans and disposes of the one that was used longest ago; each shape is answered again with the same bits, whether its plan was kept or not.</summary>
    [RequiresToolFact("gcc", "clang")]
    public void More_shapes_than_a_node_keeps_plans_for_are_answered_again()
    {
        using SessionOptions options = new();
        options.RegisterCustomOpLibraryV2(NativeBuild.Library, out _);
        using InferenceSession session = new(CustomOpGraph.Build(MaskPolicy.Split, 4, 2, ElementType.F32, HeadShift.SecondHalf, 1), options);
        int[] lengths = [.. Enumerable.Range(4, 12)];
        float[][] first = [.. lengths.Select(Answer)];
        foreach (int i in Enumerable.Range(0, lengths.Length).Reverse())
            Assert.Equal(first[i], Answer(lengths[i]));

        float[] Answer(int tokens)
        {
            float[] numbers = [.. Enumerable.Range(0, tokens * 2 * 3).Select(i => (i * 7 % 11) - 5f)];
            using OrtValue tensor = OrtValue.CreateTensorValueFromMemory(numbers, [1, tokens, 2, 3]), valid = OrtValue.CreateTensorValueFromMemory(Enumerable.Repeat((byte)1, tokens).ToArray(), [1, tokens]);
            using RunOptions run = new();
            using IDisposableReadOnlyCollection<OrtValue> answers = session.Run(run, new Dictionary<string, OrtValue> { ["q"] = tensor, ["k"] = tensor, ["v"] = tensor, ["valid"] = valid }, ["o"]);
            return answers[0].GetTensorDataAsSpan<float>().ToArray();
        }
    }

    /// <summary>Each dimension of each input one less and one more in turn: the message names the input with its shape, or what its heads break.</summary>
    [RequiresToolFact("gcc", "clang")]
    public void Every_dimension_of_every_input_is_checked()
    {
        using SessionOptions options = new();
        options.RegisterCustomOpLibraryV2(NativeBuild.Library, out _);
        using InferenceSession session = new(CustomOpGraph.Build(MaskPolicy.Split, 4, 2, ElementType.F32, HeadShift.SecondHalf, 1), options);
        Dictionary<string, long[]> right = new() { ["q"] = [2, 8, 4, 3], ["k"] = [2, 8, 2, 3], ["v"] = [2, 8, 2, 3], ["valid"] = [2, 8] };
        Run("", right["q"]);
        foreach ((string name, long[] shape) in right)
            for (int axis = 0; axis < shape.Length; axis++)
                foreach (int change in new[] { -1, 1 })
                {
                    long[] wrong = [.. shape.Select((length, i) => i == axis ? length + change : length)];
                    OnnxRuntimeException error = Assert.Throws<OnnxRuntimeException>(() => Run(name, wrong));
                    Assert.Contains((name, axis) is ("q", 2) ? $"Heads = {wrong[2]}" : $"{name} [{string.Join(",", wrong)}]", error.Message, StringComparison.Ordinal);
                }

        void Run(string changed, long[] wrong)
        {
            Dictionary<string, OrtValue> inputs = [];
            try
            {
                foreach ((string name, long[] shape) in right)
                {
                    long[] given = name == changed ? wrong : shape;
                    int elements = (int)given.Aggregate((a, b) => a * b);
                    inputs[name] = name == "valid" ? OrtValue.CreateTensorValueFromMemory(new byte[elements], given) : OrtValue.CreateTensorValueFromMemory(new float[elements], given);
                }

                using RunOptions run = new();
                session.Run(run, inputs, ["o"]).Dispose();
            }
            finally
            {
                foreach (OrtValue value in inputs.Values)
                    value.Dispose();
            }
        }
    }

    [RequiresToolFact("gcc", "clang")]
    public void A_session_is_told_why_no_kernel_can_be_used() => SamplePortTests.InTemporary(directory =>
    {
        string path = Path.Combine(directory, "model.onnx");
        File.WriteAllBytes(path, CustomOpGraph.Build(MaskPolicy.LocalCausal, 4, 2, ElementType.F32, HeadShift.SecondHalf, 1));
        (int exitCode, string output) = PortTool.Run(
            "env", ["S2ATTN_ISA=x86-64-v9", "dotnet", Path.Combine(AppContext.BaseDirectory, "s2attn.dll"), "describe", "--onnx", path, "--onnx-config", "library=" + NativeBuild.Library]);
        Assert.Equal(2, exitCode);
        Assert.Contains("S2ATTN_ISA", output, StringComparison.Ordinal);
        Assert.Contains("x86-64-v9", output, StringComparison.Ordinal);
    });

    [Fact]
    public void The_indices_of_functions_are_those_of_the_header()
    {
        string header = File.ReadAllText(HeaderPath());
        string body = header[header.IndexOf("struct OrtApi {", StringComparison.Ordinal)..];
        body = Comments().Replace(body[..body.IndexOf("\n};", StringComparison.Ordinal)], "");
        string[] names = [.. Members().Matches(body).Select(match => match.Groups["release"].Success ? "Release" + match.Groups["release"].Value : match.Groups["name"].Value)];
        string source = File.ReadAllText(NativeBuild.Source("OrtApi.cs"));
        string listed = source[source.IndexOf("enum OrtFunction", StringComparison.Ordinal)..];
        var entries = Entries().Matches(listed[..listed.IndexOf('}', StringComparison.Ordinal)]);
        Assert.True(entries.Count >= 19);
        foreach (Match entry in entries)
            Assert.Equal(entry.Groups[1].Value, names[int.Parse(entry.Groups[2].Value, System.Globalization.CultureInfo.InvariantCulture)]);
    }

    [Fact]
    public void The_table_of_the_operator_has_the_members_of_the_header_in_order()
    {
        string header = File.ReadAllText(HeaderPath());
        string body = header[header.IndexOf("\nstruct OrtCustomOp {", StringComparison.Ordinal)..];
        body = Comments().Replace(body[..body.IndexOf("\n};", StringComparison.Ordinal)], "");
        string[] names = [.. FunctionPointers().Matches(body).Select(match => match.Groups[1].Value.Replace("InferOutputShapeFn", "InferOutputShape", StringComparison.Ordinal))];
        string source = File.ReadAllText(NativeBuild.Source("ort.h"));
        string table = source[source.IndexOf("typedef struct ort_operator {", StringComparison.Ordinal)..];
        string[] ours = [.. Fields().Matches(table[..table.IndexOf("} ort_operator;", StringComparison.Ordinal)]).Select(match => match.Groups[1].Value)];
        Assert.Equal(names, ours);
    }

    // The package's header: in its folder of the package cache, of the version that this project resolves.
    private static string HeaderPath()
    {
        string packages = Environment.GetEnvironmentVariable("NUGET_PACKAGES") ?? Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".nuget", "packages");
        string version = PackageVersion().Match(File.ReadAllText(Path.Combine(Repository.Root, "Directory.Packages.props"))).Groups[1].Value;
        return Path.Combine(packages, "microsoft.ml.onnxruntime", version, "build", "native", "include", "onnxruntime_c_api.h");
    }

    [GeneratedRegex("""Include="Microsoft.ML.OnnxRuntime" Version="([^"]+)""")]
    private static partial Regex PackageVersion();

    [GeneratedRegex(@"/\*.*?\*/|//[^\n]*", RegexOptions.Singleline)]
    private static partial Regex Comments();

    [GeneratedRegex(@"ORT_API2_STATUS\(\s*(?<name>\w+)|ORT_CLASS_RELEASE\(\s*(?<release>\w+)|\(\s*(?:NO_EXCEPTION\s+)?ORT_API_CALL\s*\*\s*(?<name>\w+)\s*\)|ORT_API_T\(\s*[^,]+,\s*(?<name>\w+)")]
    private static partial Regex Members();

    [GeneratedRegex(@"^\s+(\w+) = (\d+),", RegexOptions.Multiline)]
    private static partial Regex Entries();

    [GeneratedRegex(@"\(\s*ORT_API_CALL\s*\*\s*(\w+)\s*\)")]
    private static partial Regex FunctionPointers();

    [GeneratedRegex(@"\(\*(\w+)\)\(")]
    private static partial Regex Fields();
}
