// Is every size and text of a declaration held to a range, with field, value and rule?
using System.Text;
using System.Text.Json;
using S2Attn.Conformance.Ports;
using S2Attn.Conformance.Text;
using S2Attn.Tests.Ports;
using S2Attn.Tests.Tools;

namespace S2Attn.Tests.Hostile;

public sealed class DeclarationTests
{
    public static TheoryData<string, string> Refused => new()
    {
        { "\"fixed\":{\"groupSize\":0}", "groupSize" },
        { "\"fixed\":{\"groupSize\":-4}", "groupSize" },
        { "\"fixed\":{\"groupSize\":1e999}", "groupSize" },
        { "\"fixed\":{\"groupSize\":2.5}", "groupSize" },
        { "\"fixed\":{\"groupSize\":2147483647}", "groupSize" },
        { "\"fixed\":{\"groupSize\":1099511627776}", "groupSize" },
        { "\"fixed\":{\"batch\":0}", "batch" },
        { "\"fixed\":{\"batch\":2000}", "batch" },
        { "\"fixed\":{\"tokens\":0}", "tokens" },
        { "\"fixed\":{\"tokens\":2000000000}", "tokens" },
        { "\"fixed\":{\"heads\":0}", "heads" },
        { "\"fixed\":{\"heads\":1000000}", "heads" },
        { "\"fixed\":{\"kvHeads\":-1}", "kvHeads" },
        { "\"fixed\":{\"headDim\":100000}", "headDim" },
        { "\"fixed\":{\"shift\":-1}", "shift" },
        { "\"fixed\":{\"groupSize\":4,\"shift\":4}", "shift" },
        { "\"fixed\":{\"heads\":4,\"kvHeads\":3}", "kvHeads" },
        { "\"fixed\":{\"tokens\":8,\"groupSize\":9}", "groupSize" },
        { "\"maxTokens\":8,\"fixed\":{\"tokens\":9}", "tokens" },
        { "\"fixed\":{\"phases\":2}", "\"phases\" must be true beside it" },
        { "\"phases\":true,\"fixed\":{\"phases\":0}", "fixed.phases = 0" },
        { "\"phases\":true,\"fixed\":{\"phases\":2,\"rotated\":1}", "fixed: rotated must be true or false" },
        { "\"phases\":true,\"fixed\":{\"shifts\":[0,-1]}", "fixed.shifts = -1" },
        { "\"phases\":true,\"fixed\":{\"shifts\":[0,1],\"heads\":4}", "fixed.shifts = 2: must hold one number for each of the heads = 4" },
        { "\"phases\":true,\"fixed\":{\"shifts\":[0,4],\"groupSize\":4}", "shift = 4" },
        { "\"phases\":true,\"fixed\":{\"shifts\":[0,1],\"shift\":1}", "fixed.shift must not be" },
        { "\"fixed\":{\"axes\":[{\"tokens\":8,\"groupSize\":4,\"shift\":2}]}", "\"grids\" must be true beside it" },
        { "\"grids\":true,\"fixed\":{\"axes\":[]}", "fixed.axes" },
        { "\"grids\":true,\"fixed\":{\"axes\":[{\"tokens\":8,\"groupSize\":4}]}", "axes[0] has no shift" },
        { "\"grids\":true,\"fixed\":{\"axes\":[{\"tokens\":8,\"groupSize\":4,\"shift\":4}]}", "fixed.axes: Axes[0].Shift = 4" },
        { "\"grids\":true,\"masks\":[\"Bidirectional\"],\"fixed\":{\"axes\":[{\"tokens\":8,\"groupSize\":3,\"shift\":1}]}", "Axes[0].GroupSize = 3: must divide Tokens = 8" },
        { "\"grids\":true,\"fixed\":{\"groupSize\":4,\"axes\":[{\"tokens\":8,\"groupSize\":4,\"shift\":2}]}", "groupSize, groups, shift" },
        { "\"grids\":true,\"maxTokens\":32,\"fixed\":{\"axes\":[{\"tokens\":8,\"groupSize\":4,\"shift\":2},{\"tokens\":8,\"groupSize\":4,\"shift\":2}]}", "fixed.axes has 64 tokens: must be at most 32" },
        { "\"fixed\":{\"prefix\":4}", "\"prefixes\" must be true beside it" },
        { "\"prefixes\":true,\"fixed\":{\"prefix\":0}", "fixed.prefix = 0: must be from 1 to maxTokens = 1048576" },
        { "\"prefixes\":true,\"maxTokens\":32,\"fixed\":{\"prefix\":33}", "fixed.prefix = 33: must be from 1 to maxTokens = 32" },
        { "\"prefixes\":true,\"fixed\":{\"prefix\":9,\"tokens\":[4,8]}", "fixed.prefix = 9: must be at most tokens" },
        { "\"prefixes\":true,\"fixed\":{\"prefix\":\"all\"}", "prefix must be a 32-bit integer" },
        { "\"prefixes\":true,\"fixed\":{\"prefix\":4,\"prefixWhole\":1}", "prefixWhole must be true or false" },
        { "\"prefixes\":true,\"fixed\":{\"prefixWhole\":true}", "fixed.prefixWhole must be left out where fixed.prefix is" },
        { "\"prefixes\":true,\"grids\":true,\"fixed\":{\"prefix\":4,\"axes\":[{\"tokens\":8,\"groupSize\":4,\"shift\":2}]}", "fixed.axes must not be" },
        { "\"maxTokens\":32,\"fixed\":{\"groupSize\":64}", "fixed.groupSize = 64: must be at most maxTokens = 32" },
        { "\"maxTokens\":32,\"fixed\":{\"groupSize\":{\"min\":33}}", "fixed.groupSize = 33: must be at most maxTokens = 32" },
        { "\"maxTokens\":32,\"fixed\":{\"shift\":32}", "at most maxTokens = 32" },
        { "\"maxTokens\":32,\"fixed\":{\"groups\":3,\"groupSize\":16}", "fixed.groups = 3" },
        { "\"fixed\":{\"heads\":3,\"shiftedHeads\":[true,false]}", "shiftedHeads" },
        { "\"fixed\":{\"scale\":1e999}", "scale" },
        { "\"fixed\":{\"scale\":\"big\"}", "scale" },
        { "\"fixed\":{\"batch\":1024,\"tokens\":1048576,\"heads\":1024}", "at most" },
        { "\"fixed\":[]", "fixed" },
        { "\"fixed\":{\"groupSize\":\"four\"}", "groupSize" },
        { "\"maxTokens\":0", "maxTokens" },
        { "\"maxTokens\":1e999", "maxTokens" },
        { "\"maxTokens\":null", "maxTokens" },
        { "\"masks\":{\"LocalCausal\":true}", "masks" },
        { "\"ops\":[\"forward\",7]", "ops" },
        { "\"gqa\":1", "gqa" },
    };

    [Theory]
    [MemberData(nameof(Refused))]
    public void A_size_out_of_range_is_refused_with_its_name(string capability, string named)
    {
        Assert.False(TryRead(capability, out string error));
        Assert.Contains(named, error, StringComparison.Ordinal);
        Assert.True(error.Length < 500, error);
    }

    [Theory]
    [InlineData("\"fixed\":{\"groupSize\":2048,\"headDim\":128,\"heads\":32,\"kvHeads\":8,\"batch\":1}")]
    [InlineData("\"fixed\":{\"heads\":128,\"headDim\":256}")]
    [InlineData("\"maxTokens\":2147483647")]
    [InlineData("\"fixed\":{\"shiftedHeads\":[true,false,true,false],\"heads\":4,\"scale\":\"default\"}")]
    public void Sizes_of_real_models_are_taken(string capability) => Assert.True(TryRead(capability, out string error), error);

    [Fact]
    public void Flags_for_a_million_heads_are_refused_without_printing_them()
    {
        Assert.False(TryRead($"\"fixed\":{{\"shiftedHeads\":[{string.Join(",", Enumerable.Repeat("true", 1_000_000))}]}}", out string error));
        Assert.InRange(error.Length, 1, 400);
    }

    [Fact]
    public void A_name_of_a_megabyte_is_shortened_where_it_enters()
    {
        string line = $$"""{"name":"{{new string('n', 900_000)}}","version":"\u001b[2J","language":"a\nconforms","capabilities":{"ops":["forward"],"dtypes":["f32"],"masks":["Split"]} }""";
        Assert.True(PortDescriptions.TryRead(JsonDocument.Parse(line).RootElement, out PortDescription? description, out string error), error);
        Assert.InRange(description.Name.Length, ForeignText.NameLimit, ForeignText.NameLimit + 30);
        Assert.Equal("\uFFFD[2J", description.Version);
        Assert.Equal("a conforms", description.Language);
    }

    [RequiresToolTheory("python3")]
    [InlineData("{\"groupSize\":0}", "groupSize")]
    [InlineData("{\"groupSize\":-1}", "groupSize")]
    [InlineData("{\"heads\":1000000}", "heads")]
    public void A_command_with_such_a_port_says_so_at_once(string fixedSizes, string named) => SamplePortTests.InTemporary(directory =>
    {
        string port = HostileRun.Talker(new { describe = new { capabilities = JsonDocument.Parse($"{{\"ops\":[\"forward\"],\"dtypes\":[\"f32\"],\"masks\":[\"LocalCausal\"],\"fixed\":{fixedSizes}}}").RootElement } });
        Ended ended = HostileRun.S2Attn(directory, "check", "--port", port, "--cases", "20");
        Assert.True(ended.ExitCode == 2 && ended.Error.Contains(named, StringComparison.Ordinal) && !ended.Error.Contains("   at ", StringComparison.Ordinal), $"{ended}");
    });

    private static bool TryRead(string capability, out string error)
    {
        string line = $$"""{"name":"n","capabilities":{"ops":["forward"],"dtypes":["f32"],{{capability}} } }""";
        bool duplicate = capability.StartsWith("\"ops\"", StringComparison.Ordinal) || capability.StartsWith("\"masks\"", StringComparison.Ordinal);
        string text = duplicate ? $$"""{"name":"n","capabilities":{ {{capability}} } }""" : line.Replace("\"dtypes\"", "\"masks\":[\"LocalCausal\"],\"dtypes\"", StringComparison.Ordinal);
        return PortDescriptions.TryRead(JsonDocument.Parse(Encoding.UTF8.GetBytes(text)).RootElement, out _, out error);
    }
}
