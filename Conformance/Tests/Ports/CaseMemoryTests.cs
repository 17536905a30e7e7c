// Do cases of other layouts, packed sequences and strides pass through files and declarations as they were meant?
using System.Collections.Immutable;
using System.Text.Json;
using S2Attn.Conformance.Cases;
using S2Attn.Conformance.Ports;
using S2Attn.Conformance.Safetensors;
using S2Attn.Reference;
using S2Attn.Spec;

namespace S2Attn.Tests.Ports;

public sealed class CaseMemoryTests
{
    private static readonly PortCapabilities All = new ReferencePort().Description.Capabilities;

    /// <summary>What is served for each memory is what the port answers, in the layout and between the rows that were asked for.</summary>
    [Fact]
    public void Every_memory_passes_through_the_protocol()
    {
        using ReferencePort right = new();
        for (int seed = 0; seed < 60; seed++)
        {
            PortCase asked = Draw(seed, out Random choices);
            PortAnswer expected = right.Run(asked), served = ProtocolRoundTripTests.Serve(right, asked);
            foreach ((Tensor<double> a, Tensor<double> b) in Tensors(expected).Zip(Tensors(served)))
                Assert.Equal(a.Elements.ToArray(), b.Elements.ToArray());
        }
    }

    /// <summary>Each single element between the rows of each tensor is looked at.</summary>
    [Fact]
    public void Whatever_is_written_between_rows_is_named()
    {
        using ReferencePort right = new();
        int touched = 0;
        foreach (int seed in Enumerable.Range(0, 60).Where(seed => seed % 3 == 2))
        {
            PortCase asked = Draw(seed, out _);
            SafetensorsFile file = PortTensors.Outputs(asked.ElementType, asked.Memory, right.Run(asked));
            foreach (SafetensorsTensor tensor in file.Tensors)
                for (int i = 0; i < tensor.Values.Elements.Length; i++)
                {
                    double[] elements = [.. tensor.Values.Elements];
                    if (elements[i] != TensorView.Untouched)
                        continue;
                    elements[i] = 0;
                    touched++;
                    FormatException seen = Assert.Throws<FormatException>(() => PortTensors.ReadOutputs(
                        asked, new([.. file.Tensors.Select(other => other == tensor ? new(tensor.Name, tensor.Type, Tensor<double>.Of(tensor.Values.Shape.AsSpan(), elements)) : other)])));
                    Assert.Equal($"{tensor.Name} was written between its rows: element {i} of its storage became 0", seen.Message);
                }
        }

        Assert.True(touched > 100, $"{touched} elements between rows");
    }

    [Fact]
    public void Packed_batches_hold_every_kind_of_sequence_and_end_at_the_last_token()
    {
        foreach (MaskPolicy mask in MaskPolicies.All)
        {
            S2Config config = S2Config.Create(new() { Tokens = 24, HeadDim = 1, GroupSize = GroupSizeRule.Of(4), Mask = mask });
            ImmutableArray<int>[] drawn = [.. Enumerable.Range(0, 200).Select(seed => MemoryCases.Starts(All, config, new Random(seed)))];
            Assert.All(drawn, starts => Assert.True(starts[0] == 0 && starts[^1] == 24 && starts.SequenceEqual(starts.Order()), string.Join(",", starts)));
            Assert.All(drawn, starts => Assert.All(starts.Zip(starts.Skip(1), (a, b) => b - a), length => Assert.True(mask.CutsWrappedRun() || length % 4 == 0 || length < 4)));
            Assert.Contains(drawn, starts => starts[1] == 0);
            Assert.Contains(drawn, starts => starts[^2] == 24);
            Assert.Contains(drawn, starts => Enumerable.Range(2, Math.Max(0, starts.Length - 3)).Any(i => starts[i] == starts[i - 1] && starts[i] is > 0 and < 24));
            Assert.Contains(drawn, starts => Lengths(starts).Any(length => length is > 0 and < 4));
            Assert.Contains(drawn, starts => Lengths(starts).Any(length => length > 4));
        }

        static IEnumerable<int> Lengths(ImmutableArray<int> starts) => starts.Zip(starts.Skip(1), (a, b) => b - a);
    }

    [Theory]
    [InlineData("""{"layouts":["BNHD","BHND","HBND"],"packed":true,"strides":["gapped","sideways","written"]}""", "True True Gapped,Written")]
    [InlineData("""{"layouts":["BNHD"]}""", "False False ")]
    [InlineData("""{}""", "False False ")]
    public void Declarations_of_memory_are_read(string capabilities, string expected)
    {
        Assert.True(Read(capabilities, out PortDescription? read, out string error), error);
        Assert.Equal(expected, $"{read!.Capabilities.HeadMajor} {read.Capabilities.Packed} {string.Join(",", read.Capabilities.Strides)}");
    }

    [Theory]
    [InlineData("""{"layouts":"BHND"}""", "layouts must be an array of strings")]
    [InlineData("""{"packed":1}""", "packed must be true or false")]
    [InlineData("""{"strides":[0]}""", "strides must be an array of strings")]
    public void Declarations_of_memory_that_are_not_understood_are_refused(string capabilities, string expected)
    {
        Assert.False(Read(capabilities, out _, out string error));
        Assert.StartsWith(expected, error, StringComparison.Ordinal);
    }

    /// <summary>Ports that declare nothing of it are asked as before.</summary>
    [Fact]
    public void A_dense_request_says_nothing_of_memory()
    {
        string line = PortRequests.Run(1, PortCases.Plain(8), "in", "out");
        Assert.All(["layout", "cuSeqlens", "views"], name => Assert.DoesNotContain(name, line, StringComparison.Ordinal));
    }

    private static bool Read(string capabilities, out PortDescription? description, out string error) =>
        PortDescriptions.TryRead(JsonDocument.Parse($$"""{"capabilities":{{capabilities}}}""").RootElement, out description, out error);

    private static PortCase Draw(int seed, out Random choices)
    {
        choices = new Random(seed);
        S2Config config = S2Config.Create(new() { Batch = seed % 3 == 1 ? 1 : 2, Tokens = 12, Heads = 4, KvHeads = 2, HeadDim = 3, GroupSize = GroupSizeRule.Of(4), Mask = MaskPolicies.All[seed % 5] });
        PortCase dense = PortCases.Draw(config, seed % 2 == 0 ? ElementType.F32 : ElementType.F16, seed % 4 > 1, seed % 7 == 0, seed);
        CaseMemory memory = (seed % 3) switch
        {
            0 => new() { HeadMajor = true },
            1 => MemoryCases.Strided(All, config, dense.Operation, choices) with { Starts = MemoryCases.Starts(All, config, choices) },
            _ => MemoryCases.Strided(All, config, dense.Operation, choices),
        };
        return dense with
        {
            Memory = memory,
            Input = dense.Input with
            {
                Query = MemoryCases.Repeated(memory, "q", dense.Input.Query),
                Key = MemoryCases.Repeated(memory, "k", dense.Input.Key),
                Value = MemoryCases.Repeated(memory, "v", dense.Input.Value),
            },
            OutputGradient = [.. dense.OutputGradient.Select(tensor => MemoryCases.Repeated(memory, "do", tensor))],
        };
    }

    private static IEnumerable<Tensor<double>> Tensors(PortAnswer answer) => answer switch
    {
        PortAnswer.Forward forward => [forward.Output, .. forward.LogSumExp],
        PortAnswer.Backward { Gradients: var each } => [each.Query, each.Key, each.Value],
        _ => throw new InvalidOperationException(answer.ToString()),
    };
}
