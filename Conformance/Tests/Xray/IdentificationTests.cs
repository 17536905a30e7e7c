// Is every bug that the suite knows told by its name, with what to change?
using S2Attn.Conformance.Mutants;
using S2Attn.Conformance.Ports;
using S2Attn.Conformance.Xray;
using S2Attn.Reference.Upstream;

namespace S2Attn.Tests.Xray;

public sealed class IdentificationTests
{
    // `s2attn mutants --pairs NUMBER` looks at more.
    private const int PairsInTests = 40, Seed = 1;

    // One in so many defects is asked as a port.
    private const int Asked = 8;

    public static TheoryData<string> Names() =>
    [
        .. UpstreamProfiles.All.Select(profile => "profile:" + profile.Name),
        .. NumericalHabit.All.Select(habit => "mutant:" + habit.Name),
        .. DefectCatalogue.Anywhere.Where((_, i) => i % Asked == 0).Select(defect => "mutant:" + defect.Name),
    ];

    /// <summary>Through films that are made up from the defect, which are what its port answers: StructureIndexTests.A_film_of_stages_is_that_of_their_port.</summary>
    [Fact]
    public void Each_defect_alone_is_named()
    {
        PairResult[] results = [.. PairRun.Of([.. DefectCatalogue.Anywhere.Select(defect => Composition.Of(defect))])];
        Assert.Equal(DefectCatalogue.Anywhere.Length, results.Length);
        Assert.All(results, result => Assert.True(result.Outcome is PairOutcome.Named or PairOutcome.NamedAmongOthers, $"{result.Pair}: {result.Outcome}, {result.Said}"));
        Assert.All(DefectCatalogue.Anywhere, defect => Assert.EndsWith(".", defect.Fix, StringComparison.Ordinal));
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void A_known_bug_is_named_and_its_author_is_told_what_to_change(string name)
    {
        using IAttentionPort port = PortFactory.Create(new ProcessPortOptions(), name);
        Diagnosis diagnosis = Diagnosis.Of(port);
        string said = string.Join("\n", diagnosis.Sentences);
        Assert.True(diagnosis.Names.Contains(name[(name.IndexOf(':', StringComparison.Ordinal) + 1)..]), said);
        Assert.Contains("To fix", said, StringComparison.Ordinal);
    }

    [Fact]
    public void Pairs_of_defects_are_explained_by_as_few()
    {
        PairResult[] missed = [.. PairRun.Of(PairRun.Drawn(Seed, PairsInTests)).Where(result => result.Outcome is PairOutcome.Missed)];
        Assert.True(missed.Length == 0, string.Join("\n", missed.Select(result => $"{result.Pair}: {result.Said}")));
    }

    /// <summary>Pairs that were missed: one behind more than sixty that look alike without padding, one whose second defect shows in every row through the first, and three that the logsumexp alone tells from the sixty others that are looked at.</summary>
    [Theory]
    [InlineData("keys-dilated-by-quarters-and-counted", "padded-rows-zero")]
    [InlineData("mask-after-softmax", "mask-adds-10000")]
    [InlineData("attends-over-batch", "scale-fixed")]
    [InlineData("passes-added", "shifted-heads-zero")]
    [InlineData("itself-alone", "longlora-batch-mask")]
    public void A_pair_that_was_missed_is_named(string first, string second)
    {
        PairResult result = PairRun.Of([Composition.Of(DefectCatalogue.Named(first), DefectCatalogue.Named(second))]).Single();
        Assert.True(result.Outcome is PairOutcome.Named or PairOutcome.NamedAmongOthers, $"{result.Outcome}: {result.Said}");
    }

    [Theory]
    [InlineData("profile:longlora")]
    [InlineData("mutant:")]
    public void An_unknown_name_lists_those_that_there_are(string name)
    {
        FormatException error = Assert.Throws<FormatException>(() => PortFactory.Create(new ProcessPortOptions(), name));
        Assert.StartsWith(name, error.Message, StringComparison.Ordinal);
        Assert.Contains(name[0] == 'p' ? "longlora-odd-group" : "scale-missing", error.Message, StringComparison.Ordinal);
    }
}
