// Are tensors that another implementation rounded within the bound, and its known defects outside?
using System.Collections.Immutable;
using System.Text.Json;
using S2Attn.Conformance;
using S2Attn.Conformance.Ports;
using S2Attn.Conformance.Safetensors;
using S2Attn.Reference;
using S2Attn.Spec;

namespace S2Attn.Tests.Reference;

public sealed class GoldenBoundTests
{
    private static readonly string Folder = Path.Combine(Repository.Root, "golden");

    public static TheoryData<string> CoreCases() =>
        [.. Manifest().Where(item => Text(item, "family") == "core" && item.GetProperty("config").GetProperty("tokens").GetInt32() <= 512).Select(item => Text(item, "name"))];

    [Theory]
    [MemberData(nameof(CoreCases))]
    public void LongLoRA_in_torch_is_within_the_bound_exactly_where_it_computes_the_definition(string name)
    {
        JsonElement item = Manifest().Single(candidate => Text(candidate, "name") == name);
        (S2Config config, ElementType type) = PortConfigs.Read(item.GetProperty("config"));
        SafetensorsFile file = SafetensorsReader.Read(Path.Combine(Folder, Text(item, "file")));
        AttentionInput<double> input = new(Values("q"), Values("k"), Values("v"));
        if (file.TryGet("valid", out SafetensorsTensor? valid))
            input = input with { Valid = valid.Values.Map(value => value != 0) };
        RoundingModel model = RoundingModel.Composition(
            Agreement.StorageOf(type), Agreement.StorageOf(TypeOf(Narrowest(item.GetProperty("arithmetic")))));

        // A port answers with rows that see no key as the definition has them; LongLoRA's padding is a defect of its own.
        ImmutableArray<TensorAgreement> agreements =
        [
            .. Agreement.Compare(new PortCase(config, type, input), new PortAnswer.Forward(Values("o"), []), model),
            .. Agreement.Compare(
                new PortCase(config, type, input, [Values("do")]), new PortAnswer.Backward(new(Values("dq"), Values("dk"), Values("dv"))), model),
        ];
        bool definition = Text(item.GetProperty("expected"), "kind") == "definition";
        Assert.True(definition == agreements.All(agreement => agreement.Agrees), string.Join("; ", agreements));

        Tensor<double> Values(string tensor) => file.TryGet(tensor, out SafetensorsTensor? found) ? found.Values : throw new InvalidDataException($"{name} has no {tensor}.");
    }

    private static string Narrowest(JsonElement arithmetic) =>
        Text(arithmetic, "softmaxDtype") == "f32" && Text(arithmetic, "sumDtype") == "f64" ? "f32" : Text(arithmetic, "sumDtype");

    private static ElementType TypeOf(string name) =>
        ProtocolNames.TryReadElementType(name, out ElementType type) ? type : throw new InvalidDataException($"Unknown element type {name}.");

    private static JsonElement[] Manifest()
    {
        using JsonDocument document = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(Folder, "manifest.json")));
        return [.. document.RootElement.GetProperty("cases").EnumerateArray().Select(item => item.Clone())];
    }

    private static string Text(JsonElement element, string property) =>
        element.GetProperty(property).GetString() ?? throw new InvalidDataException($"{property} is null.");
}
