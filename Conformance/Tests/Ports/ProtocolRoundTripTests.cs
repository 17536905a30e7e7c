// Does everything that a port is asked and answers survive the protocol unchanged?
using System.Collections.Immutable;
using System.Globalization;
using System.Text;
using System.Text.Json;
using S2Attn.Conformance.Ports;
using S2Attn.Conformance.Safetensors;
using S2Attn.Spec;

namespace S2Attn.Tests.Ports;

public sealed class ProtocolRoundTripTests
{
    public static TheoryData<ElementType, MaskPolicy, bool, bool> Cases()
    {
        TheoryData<ElementType, MaskPolicy, bool, bool> data = [];
        foreach (ElementType type in Enum.GetValues<ElementType>())
            foreach (MaskPolicy mask in MaskPolicies.All)
                data.Add(type, mask, ((int)type + (int)mask) % 2 == 0, (int)mask % 2 == 0);
        return data;
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Reference_behind_the_protocol_answers_as_Reference(ElementType type, MaskPolicy mask, bool backward, bool padded)
    {
        S2Config config = S2Config.Create(new()
        {
            Batch = 2,
            Tokens = mask.CutsWrappedRun() ? 11 : 12,
            Heads = 4,
            KvHeads = 2,
            HeadDim = 3,
            GroupSize = GroupSizeRule.Of(3),
            Shift = 1,
            Mask = mask,
            ShiftedHeads = HeadShift.Of([true, false, false, true]),
            Scale = 0.1,
        });
        PortCase asked = PortCases.Draw(config, type, backward, padded, seed: 7);
        using ReferencePort reference = new();
        Assert.Equal(Bits(reference.Run(asked)), Bits(Serve(reference, asked)));
    }

    /// <summary>Protocol 1.1. A request without shifts of their own is as it was in 1.0.</summary>
    [Fact]
    public void Shifts_of_heads_survive_and_are_written_for_no_other_case()
    {
        using ReferencePort reference = new();
        foreach (HeadShift heads in new[] { HeadShift.Phased(3), HeadShift.Phased(4, isRotated: true), HeadShift.Each([2, 0, 1, 2]) })
        {
            S2Config config = S2Config.Create(new() { Tokens = 11, Heads = 4, KvHeads = 2, HeadDim = 3, GroupSize = GroupSizeRule.Of(5), Mask = MaskPolicy.Split, ShiftedHeads = heads });
            PortCase asked = PortCases.Draw(config, ElementType.F32, backward: true, padded: false, seed: 7);
            Assert.Equal(Bits(reference.Run(asked)), Bits(Serve(reference, asked)));
            JsonElement written = ConfigOf(asked);
            Assert.Equal(config, PortConfigs.Read(written).Config);
            Assert.Equal(Enumerable.Range(0, 4).Select(config.ShiftOf), written.GetProperty("shifts").EnumerateArray().Select(shift => shift.GetInt32()));
            Assert.Equal(Enumerable.Range(0, 4).Select(head => config.ShiftOf(head) > 0), written.GetProperty("shiftedHeads").EnumerateArray().Select(flag => flag.GetBoolean()));
            Assert.Equal("phases", Assert.Single(PortSupport.Lacks(reference.Description.Capabilities with { Phases = false }, asked)));
        }

        S2Config plain = S2Config.Create(new() { Tokens = 10, Heads = 4, HeadDim = 3, GroupSize = GroupSizeRule.Of(5), Mask = MaskPolicy.Split });
        Assert.Equal(
            ["groupSize", "shift", "mask", "shiftedHeads", "scale", "dtype", "batch", "tokens", "heads", "kvHeads", "headDim"],
            ConfigOf(PortCases.Draw(plain, ElementType.F32, backward: false, padded: false, seed: 7)).EnumerateObject().Select(field => field.Name));

        static JsonElement ConfigOf(PortCase asked) => JsonDocument.Parse(PortRequests.Run(1, asked, "in", "out")).RootElement.GetProperty("config");
    }

    [Theory]
    [InlineData("\"shifts\":[0,1,2]", "ShiftedHeads = [0,1,2]: must hold one shift for each of the 4 query heads")]
    [InlineData("\"shifts\":[0,1,2,4]", "must hold shifts from 0 to GroupSize - 1 = 3")]
    [InlineData("\"shifts\":[0,1,2,1.5]", "shifts must be an array of at most 1024 whole numbers")]
    [InlineData("\"shifts\":\"all\"", "shifts must be an array")]
    [InlineData("\"shifts\":[0,0,1,1]", "must not be given, or be 1, the largest shift")]
    [InlineData("\"shifts\":[0,1,1,3],\"phases\":4", "shifts must be those of phases, [0,1,2,3]")]
    [InlineData("\"phases\":\"4\"", "phases must be a whole number")]
    [InlineData("\"phases\":0", "must have at least 1 phase")]
    [InlineData("\"phases\":2,\"rotated\":\"yes\"", "config: rotated must be true or false")]
    public void Wrong_shifts_of_heads_are_named(string fields, string expected)
    {
        string json = $$"""{"groupSize":4,"shift":3,{{fields}},"mask":"Split","shiftedHeads":"All","scale":1,"dtype":"f32","batch":1,"tokens":8,"heads":4,"kvHeads":4,"headDim":1}""";
        Assert.Contains(expected, Assert.Throws<FormatException>(() => PortConfigs.Read(JsonDocument.Parse(json).RootElement)).Message, StringComparison.Ordinal);
    }

    /// <summary>Protocol 1.2. Axes come last in a configuration, and only where tokens stand on several.</summary>
    [Fact]
    public void Axes_survive_and_are_written_for_no_other_case()
    {
        using ReferencePort reference = new();
        foreach (GridAxis<int>[] axes in new GridAxis<int>[][] { [new(12, 4, 1)], [new(3, 2, 1), new(4, 3, 2)], [new(2, 1, 0), new(3, 3, 2), new(2, 2, 1)] })
        {
            S2Grid grid = S2Grid.Create(
                S2Config.Create(new() { Batch = 2, Tokens = 12, Heads = 4, KvHeads = 2, HeadDim = 3, GroupSize = GroupSizeRule.Of(12), Shift = 0, Mask = MaskPolicy.Split }), axes);
            PortCase asked = PortCases.Draw(grid.Tokens, ElementType.F32, backward: true, padded: true, seed: 7) with { Grid = grid };
            Assert.Equal(Bits(reference.Run(asked)), Bits(Serve(reference, asked)));
            Assert.NotEqual(Bits(reference.Run(asked)), Bits(reference.Run(asked with { Grid = null })));
            Assert.Equal(string.Join(",", axes.Select(axis => $$"""{"tokens":{{axis.Tokens}},"groupSize":{{axis.GroupSize}},"shift":{{axis.Shift}}}""")), AxesOf(asked)[1..^1]);
            Assert.Equal("grids", PortSupport.Lacks(reference.Description.Capabilities with { Grids = false }, asked)[0]);
            Assert.Equal(axes.Any(axis => axis.GroupSize % 2 == 1), PortSupport.Lacks(reference.Description.Capabilities with { OddGroup = false }, asked).Contains("oddGroup"));
            Assert.Equal(axes.Any(axis => axis.Tokens % axis.GroupSize > 0), PortSupport.Lacks(reference.Description.Capabilities with { Ragged = false }, asked).Contains("ragged"));
        }

        static string AxesOf(PortCase asked)
        {
            JsonProperty last = JsonDocument.Parse(PortRequests.Run(1, asked, "in", "out")).RootElement.GetProperty("config").EnumerateObject().Last();
            Assert.Equal("axes", last.Name);
            return last.Value.GetRawText();
        }
    }

    [Theory]
    [InlineData("[]", "axes: Axes = 0: must be from 1 to 3 axes")]
    [InlineData("[1,2]", "axes[0] must be an object")]
    [InlineData("""[{"tokens":4,"groupSize":2}]""", "axes[0] has no shift")]
    [InlineData("""[{"tokens":4,"groupSize":2,"shift":1}]""", "axes: Axes = 4: must have Tokens = 8 places in all")]
    [InlineData("""[{"tokens":4,"groupSize":2,"shift":1},{"tokens":2,"groupSize":2,"shift":2}]""", "Axes[1].Shift = 2: must be from 0 to GroupSize - 1 = 1")]
    public void Wrong_axes_are_named(string axes, string expected)
    {
        string request = $$$"""{"id":1,"op":"forward","inputs":"none","outputs":"none","config":{"groupSize":8,"shift":0,"mask":"Split","shiftedHeads":"All","scale":1,"dtype":"f32","batch":1,"tokens":8,"heads":4,"kvHeads":4,"headDim":1,"axes":{{{axes}}}}}""";
        Assert.Contains(expected, Converse(new ReferencePort(), request).Single(), StringComparison.Ordinal);
    }

    public static TheoryData<HeadShift> BuiltInShifts() => [HeadShift.Of([true, false]), HeadShift.Phased(3), HeadShift.Phased(2, isRotated: true), HeadShift.Each([0, 3, 1])];

    [Theory]
    [MemberData(nameof(BuiltInShifts))]
    public void A_declaration_survives_with_fixed_values(HeadShift shifts)
    {
        AssertSurvives(new() { Batch = 1, HeadDim = 64, GroupSize = 4, Shift = shifts.HasOwnShifts ? SizeRule.Free : 1, ShiftedHeads = shifts, Scale = 0.1 });
    }

    /// <summary>What a port of built-in axes is asked: these alone, and no text.</summary>
    [Fact]
    public void Axes_that_are_built_in_survive_and_nothing_else_is_asked()
    {
        using ReferencePort reference = new();
        GridAxis<int>[] axes = [new(4, 2, 1), new(3, 3, 0)];
        AssertSurvives(new() { Axes = [.. axes] });
        PortCapabilities capabilities = reference.Description.Capabilities with { Fixed = new() { Axes = [.. axes] } };
        S2Config config = S2Config.Create(new() { Tokens = 12, Heads = 2, HeadDim = 3, GroupSize = GroupSizeRule.Of(12), Shift = 0, Mask = MaskPolicy.Split });
        PortCase text = PortCases.Draw(config, ElementType.F32, backward: false, padded: false, seed: 7);
        Assert.Empty(PortSupport.Lacks(capabilities, text with { Grid = S2Grid.Create(config, axes) }));
        Assert.Equal("fixed.axes", Assert.Single(PortSupport.Lacks(capabilities, text)));
        Assert.Equal("fixed.axes", Assert.Single(PortSupport.Lacks(capabilities, text with { Grid = S2Grid.Create(config, axes.Reverse()) })));
    }

    /// <summary>What a port of a built-in prefix is asked: texts with this prefix alone, and of the same kind.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_prefix_that_is_built_in_survives_and_nothing_else_is_asked(bool isWhole)
    {
        using ReferencePort reference = new();
        FixedConfig values = new() { Prefix = 3, IsPrefixWhole = isWhole };
        AssertSurvives(values);
        PortCapabilities capabilities = reference.Description.Capabilities with { Fixed = values };
        S2Request request = new() { Tokens = 12, Heads = 2, HeadDim = 3, GroupSize = GroupSizeRule.Of(4), Mask = MaskPolicy.Split, Prefix = 3, IsPrefixWhole = isWhole };
        Assert.Empty(LacksOf(request));
        Assert.All(
            new[] { request with { Prefix = 0 }, request with { Prefix = 4 }, request with { IsPrefixWhole = !isWhole } },
            other => Assert.Equal(isWhole ? "fixed.prefix=3 seen whole" : "fixed.prefix=3", Assert.Single(LacksOf(other))));

        ImmutableArray<string> LacksOf(S2Request asked) =>
            PortSupport.Lacks(capabilities, PortCases.Draw(S2Config.Create(asked), ElementType.F32, backward: false, padded: false, seed: 7));
    }

    private static void AssertSurvives(FixedConfig values)
    {
        PortDescription described = new("a \"port\" \U0001F600", "1.2", "C", new(
            [PortOperation.Backward], [ElementType.BF16], [MaskPolicy.PositionCausal, MaskPolicy.Split], true, false, true, false, 17)
        {
            Phases = true,
            Grids = true,
            Prefixes = true,
            Fixed = values,
        });
        using MemoryStream stream = new();
        using (Utf8JsonWriter json = new(stream))
        {
            json.WriteStartObject();
            PortDescriptions.Write(json, described);
            json.WriteEndObject();
        }

        Assert.True(PortDescriptions.TryRead(JsonDocument.Parse(stream.ToArray()).RootElement, out PortDescription? read, out string error), error);
        Assert.Equal(Text(described), Text(read));
        Assert.Equal(values.Axes.ToArray(), read.Capabilities.Fixed.Axes.ToArray());

        static string Text(PortDescription d) => string.Join(
            "|", d.Name, d.Version, d.Language, string.Join(",", d.Capabilities.Operations), string.Join(",", d.Capabilities.ElementTypes),
            string.Join(",", d.Capabilities.Masks), d.Capabilities with { Operations = [], ElementTypes = [], Masks = [] });
    }

    [Theory]
    [InlineData("{}", "no scale|no dtype|no mask|no batch")]
    [InlineData("[]", "config must be an object")]
    [InlineData("""{"groupSize":5,"shift":0,"mask":"LocalCausal","shiftedHeads":"None","scale":1,"dtype":"f32","batch":1,"tokens":8,"heads":1,"kvHeads":1,"headDim":1}""", "GroupSize = 5: must divide Tokens = 8")]
    [InlineData("""{"groupSize":4,"shift":0,"mask":"localcausal","shiftedHeads":"None","scale":1,"dtype":"f32"}""", "mask must be one of LocalCausal,")]
    [InlineData("""{"groupSize":4,"shift":0,"mask":"Split","shiftedHeads":"Some","scale":1,"dtype":"f32","batch":1,"tokens":8,"heads":1,"kvHeads":1,"headDim":1}""", "shiftedHeads must be")]
    public void A_bad_configuration_names_the_field_and_the_rule(string json, string expected)
    {
        FormatException refused = Assert.Throws<FormatException>(() => PortConfigs.Read(JsonDocument.Parse(json).RootElement));
        Assert.Contains(expected.Split('|'), text => refused.Message.Contains(text, StringComparison.Ordinal));
    }

    [Fact]
    public void A_host_answers_what_it_does_not_know_with_unsupported_and_what_it_cannot_read_with_an_error()
    {
        string[] replies = Converse(new ReferencePort(), """{"id":5,"op":"dance"}""", "no json at all", """{"id":6,"op":"forward"}""", """{"op":"describe"}""");
        Assert.Equal("""{"id":5,"ok":false,"unsupported":"op dance"}""", replies[0]);
        Assert.Equal("""{"id":6,"ok":false,"error":"the request has no config"}""", replies[1]);
        Assert.StartsWith("""{"id":null,"ok":true,"name":"reference",""", replies[2], StringComparison.Ordinal);
    }

    internal static PortAnswer Serve(IAttentionPort port, PortCase asked)
    {
        string directory = Directory.CreateTempSubdirectory("s2attn-host-").FullName;
        try
        {
            string inputs = Path.Combine(directory, "in"), outputs = Path.Combine(directory, "out");
            SafetensorsWriter.Write(inputs, PortTensors.Inputs(asked));
            string reply = Converse(port, PortRequests.Run(3, asked, inputs, outputs)).Single();
            Assert.Equal("""{"id":3,"ok":true}""", reply);
            return PortTensors.ReadOutputs(asked, SafetensorsReader.Read(outputs, PortTensors.MaxOutputBytes(asked)));
        }
        finally
        {
            Directory.Delete(directory, recursive: true);
        }
    }

    private static string[] Converse(IAttentionPort port, params string[] requests)
    {
        using MemoryStream input = new(Encoding.UTF8.GetBytes(string.Join("\n", requests) + "\n"));
        using MemoryStream output = new();
        PortHost.Serve(port, input, output);
        return Encoding.UTF8.GetString(output.ToArray()).Split('\n', StringSplitOptions.RemoveEmptyEntries);
    }

    private static string Bits(PortAnswer answer) => string.Join("\n", (answer switch
    {
        PortAnswer.Forward forward => [forward.Output, .. forward.LogSumExp],
        PortAnswer.Backward { Gradients: var gradients } => ImmutableArray.Create(gradients.Query, gradients.Key, gradients.Value),
        _ => throw new InvalidOperationException(answer.ToString()),
    }).Select(tensor => string.Join(",", tensor.Elements.ToArray().Select(value => BitConverter.DoubleToInt64Bits(value).ToString("x", CultureInfo.InvariantCulture)))));
}
