// Does an X-ray see what a port computes, say it in words, and name it?
using System.Collections.Immutable;
using S2Attn.Conformance.Cases;
using S2Attn.Conformance.Ports;
using S2Attn.Conformance.Xray;
using S2Attn.Reference;
using S2Attn.Reference.Upstream;
using S2Attn.Spec;

namespace S2Attn.Tests.Xray;

public sealed class XrayTests
{
    [Fact]
    public void Reference_is_seen_as_Visibility_defines_it_at_every_size_up_to_16()
    {
        using ReferencePort port = new();
        Random random = new(5);
        for (int n = 1; n <= 16; n++)
            for (int g = 1; g <= n; g++)
                foreach (MaskPolicy mask in MaskPolicies.All.Where(mask => n % g == 0 || mask.CutsWrappedRun()))
                {
                    int kvHeads = random.Next(1, 3), heads = kvHeads * random.Next(1, 3), batch = random.Next(1, 3);
                    S2Config config = S2Config.Create(new S2Request
                    {
                        Batch = batch,
                        Tokens = n,
                        Heads = heads,
                        KvHeads = kvHeads,
                        HeadDim = random.Next(1, 40),
                        GroupSize = GroupSizeRule.Of(g),
                        Shift = random.Next(g),
                        Mask = mask,
                        ShiftedHeads = HeadShift.Of(Enumerable.Range(0, heads).Select(_ => random.Next(2) == 1)),
                    });
                    XrayProbe probe = new(config, (ElementType)random.Next(4), Tensor<bool>.Build([batch, n], _ => random.Next(4) > 0));
                    XrayPicture picture = Xrays.Take(port, [probe]).Pictures[0];
                    for (int b = 0; b < batch; b++)
                        for (int h = 0; h < heads; h++)
                            for (int t = 0; t < n; t++)
                                Assert.Equal(
                                    Enumerable.Range(0, n).Where(u => probe.Valid[b, u] && Visibility.Visible(config, h, t, u)).Select(u => new Place(b, u, config.KvHeadOf(h))),
                                    picture.Seen.Seen(new(b, t, h)));
                    Assert.True(picture.Words.IsEmpty, $"{probe}: {string.Join("; ", picture.Words)}");
                }
    }

    [Theory]
    [InlineData("reference")]
    [InlineData("optimized")]
    public void Our_own_ports_are_the_definition_under_every_mask(string name)
    {
        using IAttentionPort port = PortFactory.BuiltIn[name]();
        foreach (MaskPolicy mask in MaskPolicies.All)
        {
            XrayReport report = Take(port, mask);
            Assert.True(report.IsDefinition, string.Join("\n", report.Verdict));
            Assert.All(report.Pictures, picture => Assert.True(picture.Words.IsEmpty, $"{picture.Probe}: {string.Join("; ", picture.Words)}"));
            Assert.All(report.Pictures, picture => Assert.True(picture.Gradients.All(map => map.AreDerivatives) && picture.Gradients.Length == (picture.Probe.ShowsScores ? 1 : 0)));
        }
    }

    [Fact]
    public void Queries_keys_and_scale_of_Reference_are_recovered_in_every_format()
    {
        using ReferencePort port = new();
        foreach (ElementType type in Enum.GetValues<ElementType>())
        {
            XrayProbe probe = new(S2Config.Create(Xrays.Default(MaskPolicy.Bidirectional)), type, Tensor<bool>.Build([2, 16], _ => true));
            ScoreMap scores = Xrays.Take(port, [probe]).Pictures[0].Scores;
            Assert.Equal(probe.Config.Scale, scores.Scale, 0.02 * probe.Config.Scale);
            for (int t = 0; t < 16; t++)
                for (int h = 0; h < 4; h++)
                {
                    RowScores row = scores[new(0, t, h)];
                    Assert.Equal(new Place(0, t, h), row.Query.Single());
                    Assert.Equal(4, row.Keys.Count);
                    Assert.All(row.Keys, pair => Assert.Equal(pair.Key, pair.Value.Token * 2 + pair.Value.Head));
                }
        }
    }

    public static TheoryData<MaskPolicy, MaskPolicy> Confusions()
    {
        TheoryData<MaskPolicy, MaskPolicy> pairs = [];
        foreach (MaskPolicy asked in MaskPolicies.All)
            foreach (MaskPolicy given in MaskPolicies.All.Where(mask => mask != asked))
                pairs.Add(asked, given);
        return pairs;
    }

    [Theory]
    [MemberData(nameof(Confusions))]
    public void A_port_that_computes_another_policy_is_told_which(MaskPolicy asked, MaskPolicy given)
    {
        // Where N need not be a multiple of G, a policy that needs it has no answer: the port must not claim such sizes.
        using IAttentionPort port = Whole(PortFactory.Create(new(), $"mutant:{given}"));
        XrayReport report = Take(port, asked);
        Assert.True(report.Explanation.Names.Contains(given.ToString()), string.Join("\n", report.Verdict));
    }

    [Theory]
    [InlineData(MaskPolicy.Split, MaskPolicy.LocalCausal, "rows 0..1 of heads 2..3 see keys 14..15: the wrapped run leaks")]
    [InlineData(MaskPolicy.PositionCausal, MaskPolicy.Split, "rows 14..15 of heads 2..3 do not see keys 0..1: the wrapped run is cut off")]
    [InlineData(MaskPolicy.BidirectionalSplit, MaskPolicy.Bidirectional, "rows 0..1 of heads 2..3 see keys 14..15: the wrapped run leaks|rows 14..15 of heads 2..3 see keys 0..1: the wrapped run is not cut off")]
    public void The_difference_is_said_in_words(MaskPolicy asked, MaskPolicy given, string expected)
    {
        using IAttentionPort port = Whole(PortFactory.Create(new(), $"mutant:{given}"));
        string words = string.Join("|", Take(port, asked).Pictures[0].Words);
        Assert.True(words.Contains(expected, StringComparison.Ordinal), words);
    }

    [Fact]
    public void A_port_that_gives_no_tensors_is_told_so()
    {
        using IAttentionPort port = new ChangedPort(_ => new PortAnswer.Failed(PortFailureKind.Error, "out of memory"));
        Assert.Contains("out of memory", Assert.Throws<XrayFailedException>(() => Take(port, MaskPolicy.Split)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_port_that_is_almost_right_is_told_where_it_differs()
    {
        // One value of one row is lost.
        using ReferencePort reference = new();
        using IAttentionPort port = new ChangedPort(item => reference.Run(item) is PortAnswer.Forward answer
            ? answer with { Output = Tensor<double>.Build(answer.Output.Shape.AsSpan(), Changed(answer.Output)) }
            : reference.Run(item));
        XrayReport report = Take(port, MaskPolicy.LocalCausal);
        Assert.False(report.Explanation.IsWhole);
        Assert.Contains(report.Pictures[0].Words, sentence => sentence.Contains("row 3 of head 0 of batch entry 0 does not see key 0", StringComparison.Ordinal));

        static Func<int, double> Changed(Tensor<double> output) => i => i == 3 * output.Shape[2] * output.Shape[3] ? 0 : output.Elements[i];
    }

    [Fact]
    public void A_port_that_fails_at_a_size_is_seen_at_the_others()
    {
        using ReferencePort reference = new();
        using IAttentionPort port = new ChangedPort(item => item.Config.GroupSize % 2 == 1 || item.Config.KvHeads == 1
            ? throw new InvalidOperationException("only even groups")
            : reference.Run(item));
        XrayReport report = Take(port, MaskPolicy.Split);
        Assert.True(report.Explanation.IsDefinition, string.Join("\n", report.Verdict));
        Assert.NotEmpty(report.Failures);
        Assert.All(report.Failures, failure => Assert.Contains("only even groups", failure.Reason, StringComparison.Ordinal));
        Assert.Contains(report.Verdict, sentence => sentence.StartsWith("Not looked at: Split B=1 N=15 G=5", StringComparison.Ordinal));
    }

    /// <summary>What the sizes have in common at which a port is silent, and no size has at which it answers: said of one thing after the other, and of none where another size has it too.</summary>
    [Fact]
    public void What_silent_sizes_have_in_common_is_said_unless_others_have_it_too()
    {
        S2Request one = new() { Tokens = 8, Heads = 4, HeadDim = 4, GroupSize = GroupSizeRule.Of(8), Mask = MaskPolicy.Split }, two = one with { Tokens = 16 };
        (S2Request Silent, S2Request[] Answered, string Words)[] said =
        [
            (two, [one], "where N > G, more than one group"),
            (one with { KvHeads = 1 }, [one], "where K = 1"),
            (one with { KvHeads = 2 }, [one], "where K < H"),
            (two with { Tokens = 12 }, [one, two], "where N is no multiple of G"),
            (one with { Tokens = 7, GroupSize = GroupSizeRule.Of(7) }, [one], "where G is odd"),
            (one with { Heads = 3 }, [one], "where H is odd"),
            (one with { Heads = 6, KvHeads = 3 }, [one, one with { KvHeads = 2 }], "where K is odd"),
            (one with { Batch = 2 }, [one], "where B > 1"),
            (one, [two], "where N = G, a single group"),
            (one with { Shift = 3 }, [one], "where S is not G / 2"),
            (one with { Scale = 3 }, [one], "where the scale is not 1 / sqrt(D)"),
            (one with { ShiftedHeads = HeadShift.All }, [one], "where other heads than the second half are shifted"),
        ];
        Assert.All(said, item =>
        {
            Assert.Equal(item.Words, Where([item.Silent], item.Answered));
            Assert.Equal("at 1 size", Where([item.Silent], [.. item.Answered, item.Silent]));
            Assert.Equal("at 1 size", Where([item.Silent], [item.Silent, .. item.Answered]));
        });
        Assert.Equal("at 2 sizes", Where([one with { Batch = 2 }, one with { Scale = 3 }], [one]));
        XrayProbe plain = Of(one), padded = plain with { Valid = Tensor<bool>.Build([1, 8], i => i != 3) };
        Assert.Equal("where keys are padded", SilentSizes.Where(Report([padded], [plain])));

        static string Where(S2Request[] silent, S2Request[] answered) => SilentSizes.Where(Report([.. silent.Select(Of)], [.. answered.Select(Of)]));

        static XrayProbe Of(S2Request request) => new(S2Config.Create(request), ElementType.F32, Tensor<bool>.Build([request.Batch, request.Tokens], _ => true));

        static XrayReport Report(XrayProbe[] silent, XrayProbe[] answered) => new(
            new ReferencePort().Description, [.. answered.Select(probe => new XrayPicture(probe, null!, null!, null!, [], []))],
            [.. silent.Select(probe => new XrayFailure(probe, "none") { IsClaimed = true })], null!, [], 0);
    }

    /// <summary>Every other call is off by a little, at some sizes alone: what is so at one size is a habit of the port.</summary>
    [Fact]
    public void A_port_whose_bits_differ_from_call_to_call_at_some_sizes_is_told_so()
    {
        using ReferencePort reference = new();
        int calls = 0;
        using IAttentionPort port = new ChangedPort(item => reference.Run(item) is PortAnswer.Forward answer && item.Config.GroupSize % 2 == 1 && calls++ % 2 == 0
            ? answer with { Output = answer.Output.Map(value => item.ElementType.Round(value * (1 + Math.ScaleB(1, -20)))) }
            : reference.Run(item));
        XrayReport report = Xrays.Take(port, [Of(8, 4), Of(6, 3)]);
        Assert.Contains(report.Habits, habit => habit.Names.Contains("nondeterministic"));
        Assert.False(report.IsDefinition);

        static XrayProbe Of(int tokens, int groupSize) => new(
            S2Config.Create(new() { Tokens = tokens, Heads = 2, HeadDim = 8, GroupSize = GroupSizeRule.Of(groupSize), Mask = MaskPolicy.Split }), ElementType.F32, Tensor<bool>.Build([1, tokens], _ => true));
    }

    /// <summary>Gradients that are NaN, or off by more than a part of the greatest, or of another shape are not those of an explanation; where the explanation itself gives NaN, anything is.</summary>
    [Fact]
    public void Gradients_that_are_NaN_are_not_those_that_an_explanation_gives()
    {
        Tensor<double> one = Of(1, 0.5), nan = Of(1, double.NaN), off = Of(1, 0.6), near = Of(1, 0.505), wider = Of(1, 0.5, 0.5);
        foreach ((Tensor<double> own, Tensor<double> given, bool same) in new[] { (one, one, true), (one, near, true), (one, off, false), (one, nan, false), (nan, one, true), (nan, nan, true), (one, wider, false) })
        {
            Closeness closeness = new(ElementType.F32);
            Assert.Equal(same, closeness.Same(new Gradients<double>(own, one, one), new(given, one, one)));
            Assert.Equal(same, closeness.Same(new Gradients<double>(one, own, one), new(one, given, one)));
            Assert.Equal(same, closeness.Same(new Gradients<double>(one, one, own), new(one, one, given)));
        }

        static Tensor<double> Of(params double[] elements) => Tensor<double>.Of([elements.Length], elements);
    }

    [Fact]
    public void NaN_that_spreads_is_a_finding_beside_the_structure()
    {
        using IAttentionPort port = PortFactory.Create(new(), "mutant:mask-is-added");
        XrayReport report = Take(port, MaskPolicy.Split);
        Assert.True(report.Explanation.IsDefinition);
        Assert.StartsWith(
            "mutant:mask-is-added is Split: it equals the definition at all", report.Verdict.First(), StringComparison.Ordinal);
        Assert.Contains(", and NaN in hidden keys and values spreads through scores and values, because the mask is added", report.Verdict.First(), StringComparison.Ordinal);
    }

    [Fact]
    public void Where_a_mistake_shows_alone_is_not_said_where_another_one_shows_it()
    {
        Defect zeros = DefectCatalogue.Named("ragged-fill-seen"), cut = DefectCatalogue.Named("cut-at-shift");
        Assert.True(DefectRegion.ShowsBeside(Composition.Of(DefectCatalogue.Named("shifted-without-wrap"), zeros), zeros, MaskPolicy.BidirectionalSplit));
        Assert.False(DefectRegion.ShowsBeside(Composition.Of(DefectCatalogue.Named("ingroup-rotation"), cut), cut, MaskPolicy.BidirectionalSplit));
    }

    internal static XrayReport Take(IAttentionPort port, MaskPolicy mask) =>
        Xrays.Take(port, Xrays.Probes(port.Description.Capabilities, [], S2Config.Create(Xrays.Default(mask))));

    private static ChangedPort Whole(IAttentionPort port) => new(port.Run) { Description = port.Description with { Capabilities = port.Description.Capabilities with { Ragged = false } } };

    private sealed class ChangedPort(Func<PortCase, PortAnswer> run) : IAttentionPort
    {
        private static readonly ReferencePort Right = new();

        public PortDescription Description { get; init; } = Right.Description with { Name = "changed" };

        public PortAnswer Run(PortCase portCase) => run(portCase);

        public void Dispose()
        {
        }
    }
}
