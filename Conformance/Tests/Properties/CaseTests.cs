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
        ["B >= 4"] = item => item.Config.Batch >= 4,
        ["H >= 16, K = H / 8"] = item => item.Config.Heads >= 16 && item.Config.KvHeads == item.Config.Heads / 8,
        ["one padded key"] = item => item.Padding is PaddingPattern.One,
        ["bf16"] = item => item.Type is ElementType.BF16,
    };

    [Theory]
    [MemberData(nameof(Edges))]
    public void Each_edge_of_the_definition_is_among_a_hundred_cases(string edge) =>
        Assert.Contains(CaseGenerator.Sample(48, 100, 1), item => EdgeCases[edge](item));

    /// <summary>Of a port that works in blocks of 48, within a hundred cases: each border of it, a padded last key, a poisoned number.</summary>
    [Fact]
    public void Every_border_of_a_port_that_says_its_tiles_is_among_its_cases()
    {
        AttentionCase[] cases = [.. CaseGenerator.Sample(48, 200, 1).Select(item => BorderCases.Near(Tiled(48), 145, item))];
        foreach (int length in new[] { 47, 48, 49, 95, 96, 97, 143, 144, 145 })
        {
            Assert.Contains(cases, item => item.Config.Tokens == length && item.Config.GroupSize == length);
            Assert.Contains(cases, item => item.Config.Shift == length);
        }

        foreach (MaskPolicy mask in MaskPolicies.All)
        {
            Assert.Contains(cases, item => item.Config.Mask == mask && item.Kind is TensorKind.OnePoisoned && item.Padding is PaddingPattern.One);
            Assert.Contains(cases, item => item.Config.Mask == mask && item.Kind is TensorKind.OnePoisoned && !item.IsPadded);
        }

        Assert.Contains(cases, item => item.IsPadded && !item.BuildInput().Valid.Elements[^1]);
        Assert.All(cases.Where(item => item.IsPadded), item => Assert.Equal(item.Config.Batch, item.BuildInput().Valid.Elements.Count(false)));
        Assert.All(CaseGenerator.Sample(48, 20, 1), item => Assert.False(BorderCases.Near(Tiled(48) with { Isolation = false }, 145, item) is { Kind: TensorKind.OnePoisoned } or { PadsAreNaN: true }));
        Assert.All(CaseGenerator.Sample(48, 20, 1), item => Assert.Equal(item, BorderCases.Near(Tiled(4096), 400, item)));
    }

    private static PortCapabilities Tiled(int tile) => new OptimizedPort().Description.Capabilities with { Tiles = [tile] };

    /// <summary>NaN, or an infinity, once in the whole case: in q, k, v or do, and at late tokens too.</summary>
    [Fact]
    public void One_poisoned_number_is_one()
    {
        HashSet<string> where = [];
        for (int seed = 0; seed < 60; seed++)
        {
            AttentionCase item = Cases.Of(40, 20, MaskPolicy.Split, batch: 2, headDim: 3, kind: TensorKind.OnePoisoned, seed: seed);
            (string Name, double[] Elements)[] tensors =
            [
                ("q", [.. item.BuildInput().Query.Elements]), ("k", [.. item.BuildInput().Key.Elements]), ("v", [.. item.BuildInput().Value.Elements]), ("do", [.. item.BuildOutputGradient().Elements]),
            ];
            (string name, double[] elements) = tensors.Single(tensor => tensor.Elements.Any(value => !double.IsFinite(value)));
            int at = Array.FindIndex(elements, value => !double.IsFinite(value));
            Assert.Equal(1, elements.Count(value => !double.IsFinite(value)));
            where.Add(name);
            where.Add(at < elements.Length / 2 ? "first sequence" : "second sequence");
            where.Add(at / 3 % 40 < 20 ? "early" : "late");
        }

        Assert.Equal("do, early, first sequence, k, late, q, second sequence, v", string.Join(", ", where.Order(StringComparer.Ordinal)));
    }

    /// <summary>Shrinking stops at the border itself: the smallest case that still fails is the first length past it.</summary>
    [Theory]
    [InlineData(64)]
    [InlineData(192)]
    [InlineData(1024)]
    public void A_failure_past_a_border_shrinks_to_the_border(int border)
    {
        AttentionCase item = Cases.Of(1700, 1700, MaskPolicy.Split, heads: 2, kind: TensorKind.OnePoisoned, padding: PaddingPattern.One, seed: 7);
        bool Fails(AttentionCase candidate) => candidate.Config.GroupSize > border;
        while (CaseShrinker.Simpler(item).FirstOrDefault(Fails) is { } smaller)
            item = smaller;
        Assert.Equal((border + 1, border + 1, 1, 1, TensorKind.EqualScores, PaddingPattern.None), (item.Config.Tokens, item.Config.GroupSize, item.Config.Heads, item.Config.HeadDim, item.Kind, item.Padding));
    }

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

    /// <summary>Heads with shifts of their own are kept where a port declares phases and fixes no shift, and else become halves; either way the case is claimed.</summary>
    [Property(MaxTest = 200)]
    public FsCheck.Property A_case_of_phases_is_bent_to_what_a_port_claims() => Prop.ForAll(
        Arb.From(from capabilities in Capabilities() from phases in Gen.Elements(true, false) select capabilities with { Phases = phases }),
        Arb.From(from item in CaseGenerator.Cases(48) from config in CaseGenerator.WithOwnShifts(item.Config) select item with { Config = config }),
        (capabilities, item) =>
        {
            AttentionCase fitted = CaseFitting.Fit(capabilities, item);
            ImmutableArray<string> lacks = PortSupport.Lacks(capabilities, fitted.Config, fitted.Type, PortOperation.Forward, fitted.IsPadded);
            bool keeps = fitted.Config.ShiftedHeads.HasOwnShifts == (capabilities.Phases && capabilities.Fixed.HasFreeShifts) || fitted == item;
            return (lacks.IsEmpty && keeps && CaseFitting.Fit(capabilities, fitted).ToString() == fitted.ToString()).Label($"{item} became {fitted}, and the port lacks {string.Join(", ", lacks)}");
        });

    /// <summary>A prefix is kept where a port declares prefixes, becomes the one that is built in where there is one, and else none; either way the case is claimed.</summary>
    [Property(MaxTest = 300)]
    public FsCheck.Property A_case_with_a_prefix_is_bent_to_what_a_port_claims() => Prop.ForAll(
        Arb.From(
            from capabilities in Capabilities()
            from builtIn in Gen.Elements<int?>(null, 1, 3, 4)
            from isWhole in Gen.Elements(true, false)
            from prefixes in Gen.Elements(true, false)
            select capabilities with { Prefixes = prefixes, Fixed = prefixes ? capabilities.Fixed with { Prefix = builtIn, IsPrefixWhole = isWhole && builtIn is not null } : capabilities.Fixed }),
        Arb.From(from item in CaseGenerator.Cases(48) from config in CaseGenerator.WithPrefix(item.Config) select item with { Config = config }),
        (capabilities, item) =>
        {
            AttentionCase fitted = CaseFitting.Fit(capabilities, item);
            ImmutableArray<string> lacks = PortSupport.Lacks(capabilities, fitted.Config, fitted.Type, PortOperation.Forward, fitted.IsPadded);
            bool keeps = capabilities.Prefixes ? fitted.Config.Prefix == (capabilities.Fixed.Prefix ?? Math.Min(item.Config.Prefix, fitted.Config.Tokens)) : fitted.Config.Prefix == 0;
            return (lacks.IsEmpty && keeps && CaseFitting.Fit(capabilities, fitted).ToString() == fitted.ToString()).Label($"{item} became {fitted}, and the port lacks {string.Join(", ", lacks)}");
        });

    /// <summary>A port that declares grids, and no sizes of its own, is asked about grids that it claims; many of them have several axes, and several groups on one.</summary>
    [Fact]
    public void A_grid_is_drawn_within_what_a_port_claims()
    {
        int asked = 0, several = 0, ragged = 0;
        Prop.ForAll(
            Arb.From(Capabilities().Where(capabilities => capabilities.MaxTokens >= 8 && capabilities.Fixed.GroupSize.IsFree && capabilities.Fixed.Tokens.IsFree && capabilities.Fixed.ShiftedHeads is null)),
            Arb.From(CaseGenerator.Cases(48)),
            (capabilities, item) =>
            {
                capabilities = capabilities with { Grids = true };
                AttentionCase fitted = CaseFitting.Fit(capabilities, item);
                S2Grid grid = GridCases.Of(capabilities, fitted);
                Assert.Equal(grid, GridCases.Of(capabilities, fitted));
                asked++;
                several += grid.Axes.Length > 1 && grid.Axes.Any(axis => axis.Tokens > axis.GroupSize && axis.GroupSize > 1 && axis.Shift > 0) ? 1 : 0;
                ragged += grid.Axes.Any(axis => axis.Tokens % axis.GroupSize > 0) ? 1 : 0;
                ImmutableArray<string> lacks = PortSupport.Lacks(capabilities, (fitted with { Config = grid.Tokens }).Forward() with { Grid = grid });
                return lacks.IsEmpty.Label($"{fitted} became {grid}, and the port lacks {string.Join(", ", lacks)}");
            }).Check(Config.QuickThrowOnFailure.WithMaxTest(300));
        Assert.True(several > asked / 4 && ragged > asked / 20, $"{several} of {asked} have several axes, {ragged} are ragged");
    }

    /// <summary>A head's own shift shrinks to the smallest that fails, and phases to the fewest.</summary>
    [Fact]
    public void Shifts_of_heads_shrink_to_the_smallest_that_fail()
    {
        AttentionCase each = Cases.Of(48, 12, MaskPolicy.Split, heads: 6, kvHeads: 2, seed: 7), phased = each;
        each = each with { Config = each.Config.With(request => request with { ShiftedHeads = HeadShift.Each([3, 0, 11, 7, 2, 5]) }) };
        phased = phased with { Config = phased.Config.With(request => request with { ShiftedHeads = HeadShift.Phased(7, isRotated: true) }) };
        bool Fails(AttentionCase candidate) => Enumerable.Range(0, candidate.Config.Heads).Select(candidate.Config.ShiftOf).Where(shift => shift > 0).Distinct().Count() >= 2;
        Assert.Equal("[1,2]", Shrunk(each).Config.ShiftedHeads.ToString().Replace("2,1", "1,2", StringComparison.Ordinal));
        Assert.Equal(2, Shrunk(phased).Config.Heads);

        AttentionCase Shrunk(AttentionCase item)
        {
            while (CaseShrinker.Simpler(item).FirstOrDefault(Fails) is { } smaller)
                item = smaller;
            return item;
        }
    }

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

    /// <summary>Few cases are what a newcomer begins with: what levels rest on must be among them, whatever the seed.</summary>
    [Fact]
    public void Of_sixteen_cases_each_has_a_ragged_N_shared_kv_heads_padding_or_an_odd_group_in_turn()
    {
        for (int seed = 0; seed < 50; seed++)
        {
            AttentionCase[] floats = [.. CaseGenerator.Sample(48, 16, seed).Where((item, i) => i % 4 == 3 && item.Type is ElementType.F32 or ElementType.F64)];
            Assert.Equal(4, floats.Length);
            Assert.Contains(floats, item => item.Config.Tokens % item.Config.GroupSize != 0);
            Assert.Contains(floats, item => item.Config.KvHeads < item.Config.Heads);
            Assert.Contains(floats, item => item.IsPadded);
            Assert.Contains(floats, item => item.Config.GroupSize % 2 == 1);
        }
    }

    /// <summary>Of every three cases two are drawn for a mask that takes whole groups alone. A port that declares Split and no other once got those as they were, and hardly any ragged N.</summary>
    [Fact]
    public void A_port_of_Split_alone_is_asked_as_much_about_ragged_texts_as_about_whole_groups()
    {
        PortCapabilities split = new([PortOperation.Forward], [ElementType.F32], [MaskPolicy.Split], GroupedQuery: true, Padding: true, OddGroup: true, Ragged: true, MaxTokens: 1 << 20);
        int ragged = CaseGenerator.Sample(48, 200, seed: 1).Count(item => CaseFitting.Fit(split, item).Config is var config && config.Tokens % config.GroupSize != 0);
        Assert.InRange(ragged, 60, 140);
    }

    /// <summary>In a single group no shift is seen, and such a port earned no level however many cases ran.</summary>
    [Theory]
    [InlineData(7)]
    [InlineData(64)]
    [InlineData(2048)]
    public void A_port_of_one_group_size_is_asked_about_several_groups_as_often_as_any_other(int groupSize)
    {
        PortCapabilities one = new([PortOperation.Forward], [ElementType.F32], [.. MaskPolicies.All], GroupedQuery: true, Padding: true, OddGroup: true, Ragged: true, MaxTokens: 1 << 20) { Fixed = new() { GroupSize = groupSize } };
        foreach (AttentionCase item in CaseGenerator.Sample(48, 100, seed: 1))
        {
            S2Config drawn = item.Config, fitted = CaseFitting.Fit(one, item).Config;
            Assert.Equal(drawn.Tokens > drawn.GroupSize, fitted.Tokens > fitted.GroupSize);
            Assert.Equal(drawn.Tokens % drawn.GroupSize != 0, fitted.Tokens % fitted.GroupSize != 0);
            Assert.InRange(fitted.Tokens, groupSize, Math.Max(3 * groupSize, 48 + 96));
        }
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
