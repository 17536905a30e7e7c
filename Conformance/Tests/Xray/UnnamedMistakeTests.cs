// What is a port's author told whose mistake the catalogue does not have? Each mistake here is left out of it.
using System.Collections.Immutable;
using S2Attn.Conformance.Ports;
using S2Attn.Conformance.Xray;
using S2Attn.Reference.Upstream;
using S2Attn.Spec;

namespace S2Attn.Tests.Xray;

public sealed class UnnamedMistakeTests
{
    private const int Seed = 3, Drawn = 6;

    /// <summary>
    /// Suspected are the others of its stages alone, the likeliest to be taken for it; `s2attn mutants --leave-one-out NUMBER` tries the whole catalogue. The first sentence says which heads or rows, and how what is read differs; the second where to look. None
    /// is called a defect that it has not, and no change is advised.
    /// </summary>
    [Theory]
    [InlineData("unshift-missing", "in the heads that shift is what belongs to token t + S", "Look at how far q, k and v are rolled", Stage.Unshift, Stage.Join)]
    [InlineData("last-key-dropped", "does not see the last key that it should", "Look at the mask", Stage.Walk, Stage.Edge)]
    [InlineData("kv-head-reversed", "rows in every head read other kv heads than theirs", "Look at how k and v are repeated", Stage.KvHead, Stage.KvShift)]
    [InlineData("dk-scaled-twice", "dk is scale times the derivative of the forward pass", "Look at the backward pass alone", Stage.BackwardScale, Stage.BackwardJoin)]
    [InlineData("shifted-heads-zero", "rows of o in the heads that shift are 0", "Look at which rows are written", Stage.Rows, Stage.Join)]
    public void A_mistake_without_a_name_is_described_by_heads_and_rows_and_given_no_other_name(string name, string said, string look, Stage stage, Stage near)
    {
        Defect left = DefectCatalogue.Named(name);
        XrayReport report = Take(left, Suspects.All.Without(DefectCatalogue.All.Where(defect => defect == left || defect.Stage != stage && defect.Stage != near)));
        string[] verdict = [.. report.Verdict];
        string words = string.Join("\n", verdict);
        Assert.False(report.Explanation.IsWhole, words);
        Assert.True(!report.Explanation.IsClaimed || report.Explanation.Composition.Defects.IsEmpty, words);
        Assert.True(verdict[0].Contains(said, StringComparison.Ordinal), words);
        Assert.StartsWith(look, verdict[1], StringComparison.Ordinal);
        Assert.DoesNotContain("To fix", words, StringComparison.Ordinal);
        Assert.All(DefectCatalogue.All, defect => Assert.DoesNotContain(defect.Fix, words, StringComparison.Ordinal));
        Assert.DoesNotContain("which is not known", words, StringComparison.Ordinal);
    }

    /// <summary>Whatever is wrong, there is something to say of it: where, how, and one row of the smallest size with its indices.</summary>
    [Fact]
    public void Every_difference_is_told_with_sizes_heads_and_rows()
    {
        Defect[] drawn = [.. DefectCatalogue.All];
        new Random(Seed).Shuffle(drawn);
        ImmutableArray<XrayProbe> probes = Probes();
        Assert.All(drawn.Take(Drawn), defect =>
        {
            ImmutableArray<XrayFilm> films = [.. probes.Select(probe => XrayFilm.Of(probe, Composition.Of(defect)))];
            bool isForward = !defect.IsBackward && defect.Stage is not Stage.LogSum;
            Explanation none = isForward
                ? new([Composition.Definition], 0, 0, [.. probes]) { IsClaimed = false }
                : new([Composition.Definition], films.Length, 1, []) { ForwardIsWhole = true, Unseen = ["the rest"] };
            XrayDifference[] differences = [.. XrayDifference.Of(films, [.. films.Select(Xrays.Develop)], none)];
            Assert.NotEmpty(differences);
            Assert.All(differences, difference =>
            {
                Assert.Matches("head|row|o |dq|dk|dv|logsumexp", difference.What);
                Assert.True(difference.Look.Length > 0, defect.Name);
                Assert.Matches(@"^At \w+ B=\d+ N=\d+ .*(heads?|rows?|lse|d[qkv]).*\d", difference.Example);
            });
        });
    }

    private static XrayReport Take(Defect defect, Suspects suspects)
    {
        using CompositionPort port = new("port", Composition.Of(defect));
        return Xrays.Take(port, Probes(), suspects, [], default);
    }

    private static ImmutableArray<XrayProbe> Probes()
    {
        using CompositionPort any = new("any", Composition.Definition);
        PortCapabilities capabilities = any.Description.Capabilities;
        return Xrays.Probes(capabilities, capabilities.Masks, S2Config.Create(Xrays.Widened(capabilities, Xrays.Fitting(capabilities, capabilities.Masks[0]))));
    }
}
