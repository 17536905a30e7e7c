// Is an answer of a port of this process taken only where every tensor has the shape that the case asks for?
using S2Attn.Conformance.Ports;
using S2Attn.Reference;
using S2Attn.Spec;
using S2Attn.Tests.Properties;

namespace S2Attn.Tests.Ports;

public sealed class PortCallTests
{
    private static readonly S2Config Config = S2Config.Create(new() { Batch = 2, Tokens = 6, Heads = 4, KvHeads = 2, HeadDim = 3, GroupSize = GroupSizeRule.Of(2), Mask = MaskPolicy.Split });
    private static readonly int[] Query = [2, 6, 4, 3], Key = [2, 6, 2, 3], Rows = [2, 6, 4];

    /// <summary>Each axis of each tensor one too long, two axes exchanged, and an axis more or less.</summary>
    [Theory]
    [InlineData("o")]
    [InlineData("lse")]
    [InlineData("dq")]
    [InlineData("dk")]
    [InlineData("dv")]
    public void A_tensor_of_another_shape_is_refused_by_its_name(string wrong)
    {
        int[] right = ShapeOf(wrong);
        Assert.IsNotType<PortAnswer.Failed>(Ask(right));
        IEnumerable<int[]> shapes =
        [
            .. right.Select((_, axis) => right.Select((length, i) => i == axis ? length + 1 : length).ToArray()),
            .. right.Skip(1).Select((_, i) => (int[])[.. right[..i], right[i + 1], right[i], .. right[(i + 2)..]]),
            right[..^1], [.. right, 1], [right.Aggregate((a, b) => a * b)],
        ];
        foreach (int[] shape in shapes)
            Assert.StartsWith($"{wrong} is ", Assert.IsType<PortAnswer.Failed>(Ask(shape)).Message, StringComparison.Ordinal);

        PortAnswer Ask(int[] shape)
        {
            Tensor<double> Zeros(string name) => Tensor<double>.Build(name == wrong ? shape : ShapeOf(name), _ => 0);
            bool isForward = wrong is "o" or "lse";
            using MutantPort port = new("shapes", _ => isForward ? new PortAnswer.Forward(Zeros("o"), [Zeros("lse")]) : new PortAnswer.Backward(new(Zeros("dq"), Zeros("dk"), Zeros("dv"))));
            Tensor<double> query = Tensor<double>.Build(Query, _ => 0), key = Tensor<double>.Build(Key, _ => 0);
            PortCase item = new(Config, ElementType.F32, new(query, key, key));
            return PortCalls.Ask(port, isForward ? item : item with { OutputGradient = [query] });
        }
    }

    private static int[] ShapeOf(string name) => name switch
    {
        "lse" => Rows,
        "dk" or "dv" => Key,
        _ => Query,
    };
}
