// Which values does a declaration allow, how is it read and written, and does every port get cases that fit?
using System.Text;
using System.Text.Json;
using S2Attn.Conformance.Cases;
using S2Attn.Conformance.Ports;
using S2Attn.Conformance.Properties;
using S2Attn.Conformance.Reports;
using S2Attn.Conformance.Running;
using S2Attn.Spec;

namespace S2Attn.Tests.Ports;

public sealed class SizeRuleTests
{
    [Theory]
    [InlineData("4", "4", "3 5")]
    [InlineData("[1,2,4]", "1 2 4", "3 8")]
    [InlineData("{\"even\":true}", "2 4 6", "1 3")]
    [InlineData("{\"min\":2}", "2 3 100000", "1")]
    [InlineData("{\"max\":8}", "1 8", "9")]
    [InlineData("{\"min\":64,\"max\":256,\"multipleOf\":64}", "64 128 256", "32 100 320")]
    [InlineData("{\"multipleOf\":3,\"even\":true}", "6 12", "2 3 9")]
    [InlineData("{\"min\":3,\"oneOf\":[8,2,4,8]}", "4 8", "2 16")]
    public void A_rule_allows_what_it_says_and_is_written_as_it_is_read(string json, string allowed, string refused)
    {
        foreach (string name in new[] { "batch", "tokens", "heads", "kvHeads", "headDim", "groupSize", "groups" })
        {
            PortCapabilities capabilities = Read($"\"{name}\":{json}");
            SizeRule rule = capabilities.Fixed.Sizes.Single(size => size.Name == name).Rule;
            Assert.All(allowed.Split(' '), value => Assert.True(rule.Allows(int.Parse(value)), value));
            Assert.All(refused.Split(' '), value => Assert.False(rule.Allows(int.Parse(value)), value));
            Assert.All(refused.Split(' '), value => Assert.NotEmpty(rule.Broken(int.Parse(value))));
            Assert.Equal(capabilities.Fixed, Read(PortDescriptions.CapabilitiesJson(capabilities)[..^1].Split("\"fixed\":{")[1][..^1]).Fixed);
        }
    }

    [Theory]
    [InlineData("\"heads\":\"even\"", "fixed.heads must be a number, a list of numbers, or an object of min, max, multipleOf, even and oneOf, not \"even\"")]
    [InlineData("\"heads\":0", "fixed.heads must be an integer from 1 to 2147483647, not 0")]
    [InlineData("\"shift\":-1", "fixed.shift must be an integer from 0 to 2147483647, not -1")]
    [InlineData("\"shift\":\"third\"", "fixed.shift must be \"half\"")]
    [InlineData("\"tokens\":[]", "fixed.tokens must be a list of at least one number, not []")]
    [InlineData("\"tokens\":[4,\"8\"]", "fixed.tokens[1] must be an integer from 1 to 2147483647, not \"8\"")]
    [InlineData("\"batch\":{\"min\":1.5}", "fixed.batch.min must be an integer from 1 to 2147483647, not 1.5")]
    [InlineData("\"batch\":{\"even\":false}", "fixed.batch.even must be true, not false")]
    [InlineData("\"batch\":{\"odd\":true}", "fixed.batch.odd is no rule")]
    [InlineData("\"headDim\":{\"min\":9,\"max\":15,\"multipleOf\":8}", "no value fits all of it; a headDim is at least 1")]
    [InlineData("\"headDim\":{\"min\":9,\"oneOf\":[4,8]}", "no value fits all of it")]
    [InlineData("\"headDim\":{\"multipleOf\":2147483647,\"even\":true}", "fixed.headDim.even = 2: the multiples of this and of 2147483647 are past 2147483647")]
    public void A_rule_that_is_none_is_refused_with_field_value_and_rule(string rules, string expected)
    {
        using JsonDocument json = JsonDocument.Parse($"{{\"capabilities\":{{\"fixed\":{{{rules}}}}}}}");
        Assert.False(PortDescriptions.TryRead(json.RootElement, out _, out string error));
        Assert.Contains(expected, error, StringComparison.Ordinal);
    }

    /// <summary>By trying every value: the wanted one where it is taken, else the largest taken below it, else the smallest above it. A listed value counts only where the other rules take it too.</summary>
    [Fact]
    public void A_fit_is_the_nearest_value_that_all_rules_take()
    {
        foreach (int min in new[] { 0, 2, 5 })
            foreach (int max in new[] { 4, 9, int.MaxValue })
                foreach (int multiple in new[] { 1, 2, 3, 5 })
                    foreach (int[] listed in new int[][] { [], [3, 4], [2, 6, 7], [9] })
                        foreach (int divisor in new[] { 1, 2, 3 })
                            for (int low = 0; low <= 12; low += 3)
                                for (int high = low; high <= 12; high += 2)
                                    for (int wanted = 0; wanted <= 14; wanted++)
                                    {
                                        SizeRule rule = new() { Min = min, Max = max, MultipleOf = multiple, OneOf = [.. listed] };
                                        int[] taken = [.. Enumerable.Range(low, high - low + 1).Where(value =>
                                            value >= min && value <= max && value % multiple == 0 && value % divisor == 0 && (listed.Length == 0 || listed.Contains(value)))];
                                        int expected = taken.LastOrDefault(value => value <= wanted, taken.FirstOrDefault(wanted));
                                        bool found = rule.TryFit(wanted, low, high, divisor, out int value);
                                        Assert.True(found == taken.Length > 0 && value == expected, $"{rule}: wanted {wanted} in [{low}, {high}] dividing by {divisor}: {found} {value}, not {expected}");
                                    }
    }

    public static TheoryData<string> Declarations =>
    [
        "\"shift\":\"half\",\"heads\":{\"even\":true},\"kvHeads\":{\"min\":2},\"shiftedHeads\":\"SecondHalf\",\"scale\":\"default\"",
        "\"shift\":\"half\",\"heads\":[2,4,8],\"groupSize\":[4,8],\"batch\":{\"max\":2}",
        "\"tokens\":{\"multipleOf\":48},\"groupSize\":{\"multipleOf\":16},\"headDim\":{\"multipleOf\":8}",
        "\"tokens\":{\"min\":100},\"groupSize\":{\"min\":9,\"max\":31}",
        "\"shift\":{\"min\":3},\"groupSize\":{\"max\":6}",
        "\"shift\":[0,1],\"heads\":{\"min\":3,\"even\":true},\"kvHeads\":[3,6]",
        "\"tokens\":30,\"groupSize\":{\"min\":4}",
        "\"batch\":{\"even\":true},\"shiftedHeads\":[true,false,false,true]",
        "\"tokens\":4096,\"groupSize\":1024",
        "\"groups\":4,\"shift\":\"half\",\"heads\":{\"even\":true}",
        "\"groups\":[2,4],\"tokens\":{\"multipleOf\":8}",
    ];

    [Theory]
    [MemberData(nameof(Declarations))]
    public void Every_case_can_be_bent_to_what_a_port_declares(string rules)
    {
        foreach (string flags in new[] { "", "\"gqa\":true,", "\"gqa\":true,\"oddGroup\":true,\"ragged\":true,\"padding\":true," })
        {
            PortCapabilities capabilities = Read(rules, flags);
            foreach (AttentionCase item in CaseGenerator.Sample(48, 200, seed: 3))
            {
                AttentionCase fitted = CaseFitting.Fit(capabilities, item);
                Assert.True(PortSupport.Lacks(capabilities, fitted.Config, fitted.Type, PortOperation.Forward, fitted.IsPadded).IsEmpty, $"{item} became {fitted}");
                Assert.Equal(fitted, CaseFitting.Fit(capabilities, fitted));
            }
        }
    }

    [Fact]
    public void A_port_whose_shift_is_half_a_group_and_whose_heads_are_even_earns_its_levels_and_is_not_asked_for_other_shifts()
    {
        using ReferencePort reference = new();
        PortCapabilities capabilities = Read("\"shift\":\"half\",\"heads\":{\"even\":true},\"kvHeads\":{\"min\":2},\"shiftedHeads\":\"SecondHalf\"", "\"gqa\":true,");

        // What such a port does with anything else is not what is meant.
        using Properties.MutantPort port = new("half", portCase => portCase.Config is { Heads: > 1, KvHeads: > 1 } config && config.Shift == config.GroupSize / 2 && config.Heads % 2 == 0
            ? reference.Run(portCase)
            : new PortAnswer.Failed(PortFailureKind.Error, "never asked"))
        { Description = reference.Description with { Capabilities = capabilities } };
        PropertyResult[] results = [.. SuiteRunner.Results(new() { Seed = 1, Cases = 10 }, PropertyCatalogue.All, "half", port)];
        Assert.Empty(results.Where(row => row.IsBad).Select(row => $"{row.Name}: {row.Counterexample[0]}"));
        ReportPort judged = ReportPort.Of("half", port.Description, results, whole: true);
        Assert.Equal([PortLevel.Forward, PortLevel.Isolation], judged.Earned.ToArray());
        Assert.Contains("fixed.shift=half", results.SelectMany(row => row.Unsupported.Keys));
        Tally tally = Tally.Of(results);
        Assert.Equal(results.Length, tally.Asked + tally.NotAsked);
        Assert.True(tally.NotAsked > 0 && tally.Held == tally.Asked);
    }

    private static PortCapabilities Read(string rules, string flags = "")
    {
        using JsonDocument json = JsonDocument.Parse($"{{\"capabilities\":{{\"ops\":[\"forward\"],\"dtypes\":[\"f32\"],\"masks\":[\"LocalCausal\",\"Split\"],{flags}\"fixed\":{{{rules}}}}}}}");
        Assert.True(PortDescriptions.TryRead(json.RootElement, out PortDescription? description, out string error), error);
        return description.Capabilities;
    }
}
