// Are the edges of the definition drawn, and are cases bent to what a port claims?
using System.Collections.Immutable;
using FsCheck;
using FsCheck.Fluent;
using FsCheck.Xunit;
using S2Attn.Conformance.Cases;
using S2Attn.Conformance.Ports;
using S2Attn.Spec;

namespace S2Attn.Tests.Properties;

public sealed class CaseTests
{
    public static TheoryData<string> Edges => [.. EdgeCases.Keys];

    private static readonly Dictionary<string, Func<AttentionCase, bool>> EdgeCases = new()
    {
        ["G = 1 < N"] = item => item.Config.GroupSize == 1 && item.Config.Tokens > 1,
        ["G = N > 1"] = item => item.Config.GroupSize == item.Config.Tokens && item.Config.Tokens > 1,
        ["N = 1"] = item => item.Config.Tokens == 1,
        ["odd G > 1, several groups"] = item => item.Config.GroupSize % 2 == 1 && item.Config.GroupSize > 1 && item.Config.Tokens >= 2 * item.Config.GroupSize,
        ["S = 0 < G - 1"] = item => item.Config.Shift == 0 && item.Config.GroupSize > 1,
        ["S = G - 1 > 0"] = item => item.Config.Shift == item.Config.GroupSize - 1 && item.Config.Shift > 1,
        ["2S = G"] = item => 2 * item.Config.Shift == item.Config.GroupSize,
        ["odd H > 1"] = item => item.Config.Heads % 2 == 1 && item.Config.Heads > 1,
        ["K = 1 < H"] = item => item.Config.KvHeads == 1 && item.Config.Heads > 1,
        ["1 < K < H"] = item => item.Config.KvHeads > 1 && item.Config.KvHeads < item.Config.Heads,
        ["ragged N"] = item => item.Config.Tokens % item.Config.GroupSize != 0,
        ["a given set of shifted heads"] = item => item.Config.ShiftedHeads is HeadShift.Given,
        ["negative scale"] = item => item.Config.Scale < 0,
        ["all keys of a sequence padded"] = item => item.Padding is PaddingPattern.WholeSequence,
        ["left padding"] = item => item.Padding is PaddingPattern.Left,
        ["unequal padding of several sequences"] = item => item.Padding is PaddingPattern.Unequal && item.Config.Batch > 1,
        ["bf16"] = item => item.Type is ElementType.BF16,
    };

    [Theory]
    [MemberData(nameof(Edges))]
    public void Each_edge_of_the_definition_is_among_a_hundred_cases(string edge) =>
        Assert.Contains(CaseGenerator.Sample(48, 100, 1), item => EdgeCases[edge](item));

    [Property(MaxTest = 300)]
    public FsCheck.Property A_case_is_bent_to_what_a_port_claims() => Prop.ForAll(
        Arb.From(Capabilities()),
        Arb.From(CaseGenerator.Cases(48)),
        (capabilities, item) =>
        {
            AttentionCase fitted = CaseFitting.Fit(capabilities, item);
            ImmutableArray<string> lacks = PortSupport.Lacks(capabilities, fitted.Config, fitted.Type, PortOperation.Forward, fitted.IsPadded);
            return lacks.IsEmpty.Label($"{item} became {fitted}, and the port still lacks {string.Join(", ", lacks)}");
        });

    [Property(MaxTest = 300)]
    public FsCheck.Property A_case_that_a_port_claims_is_left_as_it_is() => Prop.ForAll(
        Arb.From(Capabilities()),
        Arb.From(CaseGenerator.Cases(48)),
        (capabilities, item) =>
        {
            AttentionCase fitted = CaseFitting.Fit(capabilities, item), again = CaseFitting.Fit(capabilities, fitted);
            return (fitted.ToString() == again.ToString()).Label($"{fitted} became {again}");
        });

    [Fact]
    public void Equal_cases_have_equal_tensors_that_are_numbers_of_their_type()
    {
        foreach (AttentionCase item in CaseGenerator.Sample(48, 100, 5))
        {
            var (first, second) = (item.BuildInput(), item.BuildInput());
            Assert.Equal(first.Query.Elements.ToArray(), second.Query.Elements.ToArray());
            Assert.Equal(first.Value.Elements.ToArray(), second.Value.Elements.ToArray());
            foreach (double value in (double[])[.. first.Query.Elements, .. first.Key.Elements, .. first.Value.Elements, .. item.BuildOutputGradient().Elements])
                Assert.Equal(item.Type.Round(value), value);
            Assert.Equal(item.IsPadded, first.Valid.Elements.Contains(false));
        }
    }

    [Fact]
    public void The_same_seed_draws_the_same_cases_and_another_draws_others()
    {
        string[] first = Lines(11), again = Lines(11), other = Lines(12);
        Assert.Equal(first, again);
        Assert.NotEqual(first, other);

        static string[] Lines(int seed) => [.. CaseGenerator.Sample(48, 20, seed).Select(item => item.ToString())];
    }

    // Fixed values that agree with each other: a graph of N = 16, G = 4, or one whose group alone is fixed.
    private static Gen<PortCapabilities> Capabilities() =>
        from masks in Gen.Elements(MaskPolicies.All.ToArray()).NonEmptyListOf()
        from types in Gen.Elements(Enum.GetValues<ElementType>()).NonEmptyListOf()
        from flags in Gen.Choose(0, 15)
        from maxTokens in Gen.Elements(4, 16, 1 << 20)
        from fixedConfig in Gen.Elements(
            FixedConfig.None, new FixedConfig { DefaultScale = true }, new FixedConfig { GroupSize = 4, Shift = 2 }, new FixedConfig { HeadDim = 4, Heads = 2, KvHeads = 2 },
            new FixedConfig { Tokens = 4 }, new FixedConfig { Batch = 1, Tokens = 4, GroupSize = 2, Shift = 1, ShiftedHeads = HeadShift.All })
        select new PortCapabilities(
            [PortOperation.Forward], [.. types.Distinct()], [.. masks.Distinct()], (flags & 1) != 0, (flags & 2) != 0, (flags & 4) != 0, (flags & 8) != 0, maxTokens)
        {
            Fixed = fixedConfig,
        };
}
