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
        string source = File.ReadAllText(NativeBuild.Source("OrtOperator.cs"));
        string table = source[source.IndexOf("struct OrtCustomOp", StringComparison.Ordinal)..];
        table = table[..table.IndexOf("public OrtElement", StringComparison.Ordinal)];
        string[] ours = [.. Fields().Matches(table).SelectMany(match => match.Groups[1].Value.Split(", ")).Where(name => name != "Version")];
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

    [GeneratedRegex(@"^    public [^;]*?[ >]((?:\w+, )*\w+);", RegexOptions.Multiline)]
    private static partial Regex Fields();
}
