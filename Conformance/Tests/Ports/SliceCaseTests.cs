// Do cases about slices, and gradients of lse, pass through requests, files and declarations as they were meant?
using System.Text.Json;
using S2Attn.Conformance.Cases;
using S2Attn.Conformance.Ports;
using S2Attn.Conformance.Running;
using S2Attn.Reference;
using S2Attn.Spec;

namespace S2Attn.Tests.Ports;

public sealed class SliceCaseTests
{
    [Fact]
    public void Every_slice_and_gradient_of_lse_passes_through_the_protocol()
    {
        using ReferencePort right = new();
        for (int seed = 0; seed < 60; seed++)
        {
            PortCase asked = Draw(seed);
            foreach ((Tensor<double> a, Tensor<double> b) in Tensors(right.Run(asked)).Zip(Tensors(ProtocolRoundTripTests.Serve(right, asked))))
            {
                Assert.Equal(a.Shape.AsSpan().ToArray(), b.Shape.AsSpan().ToArray());
                Assert.Equal(a.Elements.ToArray(), b.Elements.ToArray());
            }
        }
    }

    /// <summary>Room for a header of 1 MiB, and twice the tensors of the answer in eight bytes an element: those with a row for each query, and those with one for each key.</summary>
    [Fact]
    public void No_honest_answer_is_longer_than_the_limit()
    {
        using ReferencePort right = new();
        bool fewerQueries = false;
        for (int seed = 0; seed < 60; seed++)
        {
            PortCase asked = Draw(seed);
            long honest = Tensors(right.Run(asked)).Sum(tensor => (long)tensor.Elements.Length) * sizeof(double);
            Assert.True(PortTensors.MaxOutputBytes(asked) >= (1 << 20) + 2 * honest, $"{asked.Config}, {asked.Part}, {asked.Operation}: {PortTensors.MaxOutputBytes(asked)} for {honest}");
            fewerQueries |= asked.Operation is PortOperation.Backward && asked.Part.QueryCount < asked.Part.KeyCount / 2;
        }

        Assert.True(fewerQueries, "no case has far fewer queries than keys");
    }

    [Fact]
    public void A_request_about_the_whole_says_nothing_of_slices() =>
        Assert.DoesNotContain("slice", PortRequests.Run(1, PortCases.Plain(8), "in", "out"), StringComparison.Ordinal);

    [Theory]
    [InlineData("""{"queries":[0,3]}""", "slice")]
    [InlineData("""{"queries":[0,3],"keys":[0]}""", "slice: keys must be two whole numbers")]
    [InlineData("""{"queries":[3,3],"keys":[0,4]}""", "slice: EndQuery = 3: must be more than FirstQuery = 3")]
    [InlineData("""{"queries":[0,9],"keys":[0,9]}""", "slice: EndQuery = 9: must be at most Tokens = 8")]
    [InlineData("""{"queries":[3,4],"keys":[3,4]}""", "slice: FirstKey = 3: must be from 0 to 2, the first key that a query of the slice sees")]
    [InlineData("""{"queries":[2,3],"keys":[0,3],"unbounded":true}""", "slice: IsUnbounded = true: must be false under LocalCausal: what a query sees depends on N")]
    public void A_slice_that_breaks_a_rule_is_refused_by_name(string slice, string expected)
    {
        S2Config config = S2Config.Create(new() { Tokens = 8, HeadDim = 1, GroupSize = GroupSizeRule.Of(4), Mask = MaskPolicy.LocalCausal });
        FormatException wrong = Assert.Throws<FormatException>(() => SliceJson.Read(config, JsonDocument.Parse($$"""{"slice":{{slice}}}""").RootElement));
        Assert.Contains(expected, wrong.Message, StringComparison.Ordinal);
    }

    /// <summary>Not asked is not failed: a port that declares neither gets no question about them.</summary>
    [Fact]
    public void A_port_that_does_not_declare_slices_is_not_asked_about_them()
    {
        using CompositionPort port = new("plain", S2Attn.Reference.Upstream.Composition.Definition);
        PropertyResult[] rows = [.. SuiteRunner.Results(new() { Cases = 4 }, Conformance.Properties.SliceProperties.All, "plain", port)];
        Assert.All(rows, row => Assert.Equal(Outcome.Unsupported, row.Outcome));
        Assert.All(rows, row => Assert.True(row.Unsupported.ContainsKey("slice") || row.Unsupported.ContainsKey("lseGradient")));
    }

    private static PortCase Draw(int seed)
    {
        Random choices = new(seed);
        S2Config config = S2Config.Create(new() { Batch = 1 + seed % 2, Tokens = 12, Heads = 4, KvHeads = 2, HeadDim = 3, GroupSize = GroupSizeRule.Of(4), Mask = MaskPolicies.All[seed % 5] });
        PortCase whole = PortCases.Draw(config, seed % 3 == 0 ? ElementType.F64 : ElementType.F16, seed % 4 > 1, seed % 7 == 0, seed);
        if (whole.Operation is PortOperation.Backward)
            whole = whole with { LogSumExpGradient = [Tensor<double>.Build([config.Batch, config.Tokens, config.Heads], _ => choices.Next(-3, 4))] };
        int first = choices.Next(config.Tokens), end = choices.Next(first, config.Tokens) + 1;
        return SliceCase.Of(whole, S2Slice.Create(config, new() { FirstQuery = first, EndQuery = end, IsUnbounded = config.Mask.IsPrefixStable() }));
    }

    private static IEnumerable<Tensor<double>> Tensors(PortAnswer answer) => answer switch
    {
        PortAnswer.Forward forward => [forward.Output, .. forward.LogSumExp],
        PortAnswer.Backward { Gradients: var each } => [each.Query, each.Key, each.Value],
        _ => throw new InvalidOperationException(answer.ToString()),
    };
}
