// Is a level earned only by cases that ran and held, and denied by each that fails?
using System.Collections.Immutable;
using S2Attn.Conformance.Ports;
using S2Attn.Conformance.Properties;
using S2Attn.Conformance.Reports;
using S2Attn.Conformance.Running;
using S2Attn.Reference;
using S2Attn.Spec;
using S2Attn.Tests.Properties;

namespace S2Attn.Tests.Running;

public sealed class LevelJudgementTests
{
    private static readonly PortDescription Reference = new ReferencePort().Description;
    private static readonly SuiteOptions Few = new() { Seed = 1, Cases = 12, MaxBorder = 48, ShrinkLimit = TimeSpan.Zero };
    private static readonly Lazy<PropertyResult[]> OfReference = new(() =>
    {
        using ReferencePort right = new();
        return Results(right);
    });

    private static readonly PortLevel[] Five = [.. PortLevels.All.Where(level => level is not PortLevel.Isolation)];

    [Fact]
    public void The_reference_earns_every_level_with_cases_of_every_kind()
    {
        ReportPort judged = ReportPort.Of("port", Reference, OfReference.Value, whole: true);
        Assert.Equal(PortLevels.All.ToArray(), judged.Earned.ToArray());
        Assert.All(judged.Levels, level => Assert.All(level.Evidence, kind => Assert.True(kind.Held > 0, kind.Kind)));
        Assert.Equal(LevelEvidence.Kinds.Length, judged.Levels.Sum(level => level.Evidence.Length));
    }

    /// <summary>Relations between a port's own answers hold for wrong ports too: which rows count is written down, and that the others hold counts for nothing.</summary>
    [Fact]
    public void Evidence_is_of_the_rows_that_hold_a_port_against_the_definition()
    {
        string[] counted =
        [
            "Agreement.Gradients", "Agreement.LargeScores", "Agreement.LogSumExp", "Agreement.Output", "Agreement.Ties", "Borders.Gradients", "Borders.Output", "Cost", "Diagonal", "Direction", "FullAttention",
            "Gradients.Differences", "Gradients.Poison", "Leak.Count", "NoLeakage.Poison", "Partition", "Reach", "Shift.Inverts", "Visibility", "Visibility.Padding", "WholeGroup",
        ];
        Assert.All(OfReference.Value, row => Assert.Equal(Outcome.Holds, row.Outcome));
        Assert.Equal(counted, OfReference.Value.Where(row => !row.Evidence.IsEmpty).Select(row => row.Name).Order(StringComparer.Ordinal));
    }

    [Fact]
    public void A_port_that_is_never_asked_a_plain_case_earns_nothing_whether_it_lies_or_is_right()
    {
        PortDescription few = Reference with { Capabilities = Reference.Capabilities with { Isolation = false, Fixed = new() { Heads = 4, KvHeads = 2 } } };
        using MutantPort liar = new("liar", Seven) { Description = few };
        Assert.Empty(Judge(liar).Earned);
        using ReferencePort right = new();
        using MutantPort asked = new("K < H", right.Run) { Description = few };
        ReportPort judged = Judge(asked);
        Assert.Empty(judged.Earned);
        Assert.Equal(LevelStanding.Unproven, judged.Levels[0].Standing);
        Assert.Contains("no case held of: plain f32, shifted", judged.Levels[0].Reason, StringComparison.Ordinal);
        Assert.Contains("rests on level 1", judged.Levels[2].Reason, StringComparison.Ordinal);

        PortDescription odd = Reference with { Capabilities = Reference.Capabilities with { Fixed = new() { GroupSize = new SizeRule { OneOf = [3, 5] } } } };
        using MutantPort oddOnly = new("odd", right.Run) { Description = odd };
        Assert.Empty(Judge(oddOnly).Earned);

        PortDescription unshifted = Reference with { Capabilities = Reference.Capabilities with { Fixed = new() { Shift = 0 } } };
        using MutantPort groups = new("unshifted", right.Run) { Description = unshifted };
        Assert.Empty(Judge(groups).Earned);
    }

    [Fact]
    public void A_port_that_throws_in_every_call_earns_nothing()
    {
        using MutantPort port = new("thrower", _ => throw new InvalidOperationException("as always")) { Description = WithoutIsolation };
        PropertyResult[] results = Results(port);
        Assert.All(results, row => Assert.Equal(Outcome.PortFailed, row.Outcome));
        Assert.Empty(ReportPort.Of("port", port.Description, results, whole: true).Earned);
    }

    [Theory]
    [InlineData("bf16", PortLevel.HalfPrecision)]
    [InlineData("odd", PortLevel.GroupedAndOddSizes)]
    [InlineData("padded", PortLevel.MasksAndPadding)]
    [InlineData("backward", PortLevel.Gradients)]
    [InlineData("plain", PortLevel.Forward)]
    public void A_failure_denies_every_level_that_it_falls_under_and_not_the_first(string where, PortLevel denied)
    {
        using ReferencePort right = new();
        using MutantPort port = new("partly", portCase => Is(where, portCase) ? where is "odd" ? throw new InvalidOperationException("odd G") : Seven(portCase) : right.Run(portCase));
        ReportPort judged = Judge(port);
        Assert.DoesNotContain(denied, judged.Earned);
        Assert.Equal(denied is not PortLevel.Forward, judged.Earned.Contains(PortLevel.Forward));
        Assert.Equal(LevelStanding.Denied, judged.Levels.Single(level => level.Level == denied).Standing);
    }

    [Fact]
    public void A_right_port_that_adds_its_mask_conforms_earns_one_to_five_and_is_told_why_not_six()
    {
        using MutantPort port = new("adds", Adds) { Description = Whole };
        PropertyResult[] results = Results(port);
        Assert.Empty(results.Where(row => row.IsBad).Select(row => $"{row.Name}: {row.Counterexample[0]}"));
        Assert.Equal(["NoLeakage.Poison", "Gradients.Poison"], results.Where(row => row.Outcome is Outcome.Lacks).Select(row => row.Name));
        ReportPort judged = ReportPort.Of("port", port.Description, results, whole: true);
        Assert.Equal(Five, judged.Earned.ToArray());
        Assert.Contains("wherever a mask is added", judged.Levels[^1].Reason, StringComparison.Ordinal);
        Report report = new("test", 1, 10, "", Complete: true, TimeSpan.Zero, [.. results], [judged], []);
        Assert.True(report.Conforms);
        Assert.Equal("conforms", ReportWords.Verdict(report));
        Assert.Contains("2 show only that level 6 is missing", Tally.Of(results).ToString(), StringComparison.Ordinal);

        // The same port, once it claims the level, is held to it.
        using MutantPort claims = new("claims", Adds);
        Assert.Contains(Results(claims), row => row is { IsBad: true, Name: "NoLeakage.Poison" });
    }

    /// <summary>A plain case and one change of it each: which kinds of evidence it is, and so which it is not for the lack of one thing.</summary>
    public static TheoryData<string, string> Evidence() => new()
    {
        { "plain", "plain f32, shifted; plain f32, S other than G / 2; LocalCausal" },
        { "one group", "LocalCausal" },
        { "S = 0", "LocalCausal" },
        { "no head shifts", "LocalCausal" },
        { "S = G / 2", "plain f32, shifted; LocalCausal" },
        { "K < H", "LocalCausal; K < H" },
        { "odd G", "LocalCausal; odd G" },
        { "Split", "Split" },
        { "PositionCausal", "PositionCausal" },
        { "Bidirectional", "Bidirectional" },
        { "BidirectionalSplit", "BidirectionalSplit" },
        { "ragged Split", "Split; N no multiple of G" },
        { "padded", "LocalCausal; padded keys" },
        { "f64", "LocalCausal" },
        { "f16", "f16" },
        { "bf16", "bf16" },
        { "backward", "gradients in f32 or f64" },
        { "backward f64", "gradients in f32 or f64" },
        { "backward f16", "" },
        { "backward odd G", "gradients in f32 or f64; gradients, odd G" },
        { "backward ragged Split", "gradients in f32 or f64; gradients, N no multiple of G" },
        { "backward padded K < H", "gradients in f32 or f64; gradients, padded keys; gradients, K < H" },
        { "hidden", "NaN or infinity in hidden k, v: o, lse" },
        { "hidden f16 padded K < H", "NaN or infinity in hidden k, v: o, lse" },
        { "hidden backward", "NaN or infinity in padded k, v: dq, dk, dv" },
    };

    [Theory]
    [MemberData(nameof(Evidence))]
    public void A_case_is_evidence_of_what_it_has_and_of_nothing_that_it_lacks(string change, string kinds)
    {
        string[] words = change.Split(' ');
        S2Request request = new() { Tokens = 8, Heads = 2, HeadDim = 1, GroupSize = GroupSizeRule.Of(4), Shift = 1, Mask = MaskPolicies.All.FirstOrDefault(mask => words.Contains(mask.ToString()), MaskPolicy.LocalCausal) };
        request = change switch
        {
            "one group" => request with { Tokens = 4 },
            "S = 0" => request with { Shift = 0 },
            "no head shifts" => request with { ShiftedHeads = HeadShift.None },
            "S = G / 2" => request with { Shift = 2 },
            _ when change.EndsWith("odd G", StringComparison.Ordinal) => request with { Tokens = 6, GroupSize = GroupSizeRule.Of(3) },
            _ when words.Contains("ragged") => request with { Tokens = 9 },
            _ => change.EndsWith("K < H", StringComparison.Ordinal) ? request with { KvHeads = 1 } : request,
        };
        ElementType type = words.Contains("f64") ? ElementType.F64 : words.Contains("f16") ? ElementType.F16 : words.Contains("bf16") ? ElementType.BF16 : ElementType.F32;
        CaseTraits traits = new(S2Config.Create(request), type, words.Contains("backward") ? PortOperation.Backward : PortOperation.Forward, words.Contains("padded"), words.Contains("hidden"));
        Assert.Equal(kinds, string.Join("; ", LevelEvidence.Shown(Reference.Capabilities, traits).Select(kind => kind.Name)));
    }

    /// <summary>A backward pass that was never asked at sizes at which the forward pass was: not earned. One that no forward case was asked at either, since none is declared: not asked for.</summary>
    [Fact]
    public void Gradients_are_earned_where_they_ran_at_all_that_the_forward_pass_was_held_at()
    {
        ImmutableArray<EvidenceKind> beside = [.. LevelEvidence.Kinds.Where(kind => kind.Beside.Length > 0)];
        Assert.NotEmpty(beside);
        foreach (EvidenceKind kind in beside)
        {
            PropertyResult[] without = [.. OfReference.Value.Select(row => row with { Evidence = row.Evidence.Remove(kind.Name) })];
            LevelJudgement gradients = ReportPort.Of("port", Reference, without, whole: true).Levels[(int)PortLevel.Gradients - 1];
            Assert.Equal(LevelStanding.Unproven, gradients.Standing);
            Assert.StartsWith($"no case held of: {kind.Name}", gradients.Reason, StringComparison.Ordinal);

            PropertyResult[] never = [.. without.Select(row => row with { Evidence = row.Evidence.Remove(kind.Beside) })];
            Assert.Equal(LevelStanding.Earned, ReportPort.Of("port", Reference, never, whole: true).Levels[(int)PortLevel.Gradients - 1].Standing);
        }
    }

    /// <summary>One failing row is enough, whichever level it denies; and a level rests on the first, also where that is merely not shown.</summary>
    [Fact]
    public void One_failing_row_denies_its_level()
    {
        PropertyResult[] rows = OfReference.Value;
        foreach (PortLevel denied in PortLevels.All)
            for (int row = 0; row < rows.Length; row += 9)
            {
                PropertyResult[] one = [.. rows];
                one[row] = rows[row] with { Outcome = Outcome.Fails, Denied = [denied] };
                ReportPort judged = ReportPort.Of("port", Reference, one, whole: true);
                Assert.Equal(PortLevels.All.Where(level => denied is not PortLevel.Forward && level != denied), judged.Earned);
                Assert.StartsWith($"{rows[row].Name} fails", judged.Levels[(int)denied - 1].Reason, StringComparison.Ordinal);
            }
    }

    /// <summary>A port that lacks isolation and gives no answer to some of these questions fails their row, in whichever order: that it does not claim the level excuses wrong numbers alone.</summary>
    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    public void A_failure_to_answer_beside_a_lack_of_isolation_is_a_failure(int answered)
    {
        int asked = 0;
        using MutantPort port = new("crashes", portCase => asked++ < 4 * answered ? Adds(portCase) : throw new InvalidOperationException("no more")) { Description = Whole };
        PropertyResult row = SuiteRunner.Results(Few, [PropertyCatalogue.All.Single(property => property.Name == "NoLeakage.Poison")], "port", port).Single();
        Assert.True(row.IsBad, $"{row.Outcome}: {row.Counterexample[0].Reason}");
    }

    [Fact]
    public void A_part_of_the_properties_and_a_stopped_run_prove_no_level()
    {
        ReportPort judged = ReportPort.Of("port", Reference, OfReference.Value, whole: false);
        Assert.Empty(judged.Earned);
        Assert.All(judged.Levels, level => Assert.Equal(LevelStanding.NotJudged, level.Standing));
    }

    // What eager code is: without isolation, and asked for whole sequences only.
    private static PortDescription Whole => WithoutIsolation with { Capabilities = WithoutIsolation.Capabilities with { Slices = false, LogSumExpGradient = false } };

    private static PortDescription WithoutIsolation => Reference with { Capabilities = Reference.Capabilities with { Isolation = false } };

    private static ReportPort Judge(MutantPort port) => ReportPort.Of("port", port.Description, Results(port), whole: true);

    private static PropertyResult[] Results(IAttentionPort port) =>
        [.. SuiteRunner.Results(Few, PropertyCatalogue.All, "port", port)];

    private static bool Is(string where, PortCase portCase) => where switch
    {
        "bf16" => portCase.ElementType is ElementType.BF16,
        "odd" => int.IsOddInteger(portCase.Config.GroupSize),
        "padded" => portCase.IsPadded,
        "backward" => portCase.Operation is PortOperation.Backward,
        _ => portCase.Operation is PortOperation.Forward && !portCase.IsPadded && portCase.ElementType is ElementType.F32
            && portCase.Config.Mask is MaskPolicy.LocalCausal && portCase.Config.KvHeads == portCase.Config.Heads && int.IsEvenInteger(portCase.Config.GroupSize),
    };

    private static PortAnswer Seven(PortCase portCase) => portCase.Operation is PortOperation.Forward
        ? new PortAnswer.Forward(portCase.Input.Query.Map(_ => 7.0), [])
        : new PortAnswer.Backward(new(portCase.Input.Query.Map(_ => 7.0), portCase.Input.Key.Map(_ => 7.0), portCase.Input.Value.Map(_ => 7.0)));

    // What adding a mask does to the definition's answer: a hidden key or value that is not finite makes every row of its batch entry NaN.
    private static PortAnswer Adds(PortCase portCase)
    {
        using ReferencePort right = new();
        AttentionInput<double> input = portCase.Input;
        bool[] spoilt = [.. Enumerable.Range(0, portCase.Config.Batch).Select(b => Enumerable.Range(0, portCase.Config.Tokens).Any(u =>
            Enumerable.Range(0, portCase.Config.KvHeads).Any(h => !AllFinite(input.Key.Row(b, u, h)) || !AllFinite(input.Value.Row(b, u, h)))))];
        int entry = 0;
        return right.Run(portCase) switch
        {
            PortAnswer.Forward forward => new PortAnswer.Forward(Spoil(forward.Output), [.. forward.LogSumExp.Select(Spoil)]),
            PortAnswer.Backward backward => new PortAnswer.Backward(new(Spoil(backward.Gradients.Query), Spoil(backward.Gradients.Key), Spoil(backward.Gradients.Value))),
            var other => other,
        };

        static bool AllFinite(ReadOnlySpan<double> row)
        {
            foreach (double element in row)
                if (!double.IsFinite(element))
                    return false;
            return true;
        }

        Tensor<double> Spoil(Tensor<double> tensor)
        {
            entry = 0;
            int each = tensor.Elements.Length / portCase.Config.Batch;
            return tensor.Map(value => spoilt[entry++ / each] ? double.NaN : value);
        }
    }
}
