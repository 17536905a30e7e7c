// Do the kernels give what LongLoRA gives, in every storage format that has golden tensors?
using S2Attn.Conformance;
using S2Attn.Conformance.Golden;
using S2Attn.Conformance.Ports;
using S2Attn.Conformance.Safetensors;
using S2Attn.Reference;

namespace S2Attn.Tests.Optimized;

public sealed class KernelGoldenTests
{
    private const int LongestInTests = 1024;

    private static readonly string Folder = Path.Combine(Repository.Root, "golden");

    public static TheoryData<string> DefinitionCases => [.. GoldenFolder.Read(Folder)
        .Where(golden => golden is { Defects.IsEmpty: true, Family: "core", ElementType: not ElementType.F64 } && golden.Config.Tokens <= LongestInTests)
        .Select(golden => golden.Name)];

    [Theory]
    [MemberData(nameof(DefinitionCases))]
    public void The_kernels_stay_inside_their_bound_on_golden_inputs(string name)
    {
        GoldenCase golden = GoldenFolder.Read(Folder).Single(candidate => candidate.Name == name);
        SafetensorsFile file = GoldenFolder.Load(golden);
        AttentionInput<double> input = new(Values("q"), Values("k"), Values("v"));
        using OptimizedPort port = new();
        RoundingModel model = OptimizedPort.ModelOf(golden.Config, golden.ElementType);
        foreach (PortCase portCase in new[] { new PortCase(golden.Config, golden.ElementType, input), new PortCase(golden.Config, golden.ElementType, input, [Values("do")]) })
            Assert.All(Agreement.Compare(portCase, port.Run(portCase), model), agreement => Assert.True(agreement.Agrees, agreement.ToString()));

        Tensor<double> Values(string tensor) => file.TryGet(tensor, out SafetensorsTensor? found) ? found.Values : throw new InvalidDataException($"{name} has no {tensor}.");
    }
}
