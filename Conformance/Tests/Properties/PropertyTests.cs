// Does every property hold for what is right, and see what is wrong?
using System.Collections.Immutable;
using S2Attn.Conformance.Ports;
using S2Attn.Conformance.Properties;
using S2Attn.Conformance.Running;
using S2Attn.Reference.Upstream;
using S2Attn.Spec;
using S2Attn.Tests.Docs;

namespace S2Attn.Tests.Properties;

public sealed class PropertyTests
{
    private static readonly SuiteOptions Options = new() { Seed = 20230921, Cases = 80 };

    public static TheoryData<string, string> Right()
    {
        TheoryData<string, string> data = [];
        foreach (string port in PortFactory.BuiltIn.Keys)
            foreach (Property property in PropertyCatalogue.All)
                data.Add(port, property.Name);
        return data;
    }

    [Theory]
    [MemberData(nameof(Right))]
    public void Every_property_holds_for_our_own_implementations(string port, string name)
    {
        using IAttentionPort right = PortFactory.BuiltIn[port]();
        PropertyResult result = SuiteRunner.Results(Options, [Named(name)], port, right).Single();
        Assert.True(result.Counterexample.IsEmpty, $"seed {Options.Seed}: {string.Join("; ", result.Counterexample)}");
        Assert.True(
            result.Outcome is Outcome.Holds && result.Cases >= Options.Cases / 2 || result.Outcome is Outcome.Unsupported && result.Unsupported.ContainsKey("dtypes:f64"),
            $"{result.Outcome} with {result.Cases} cases: {string.Join(", ", result.Unsupported)}");
    }

    [Fact]
    public void The_matrix_of_properties_and_defects_is_exactly_the_recorded_one()
    {
        // What is wrong with a defect is wrong at short borders too.
        SuiteOptions options = Options with { Cases = 24, MaxBorder = 64, StopAtFirstFailure = true, ShrinkLimit = TimeSpan.Zero };
        Dictionary<string, List<string>> caughtBy = Defects.All().AsParallel().AsOrdered().Select(defect =>
        {
            using (defect)
                return (defect.Description.Name, CaughtBy: SuiteRunner.Results(options, PropertyCatalogue.All, defect.Description.Name, defect).Where(result => result.IsBad).Select(result => result.Name).ToList());
        }).ToDictionary(caught => caught.Name, caught => caught.CaughtBy);

        // They are the definition but for grids.
        foreach (Defect defect in DefectCatalogue.OfGrids)
        {
            using CompositionPort port = new(defect.Name, Composition.Of(defect));
            caughtBy[defect.Name] = [.. SuiteRunner.Results(options, GridProperties.All, defect.Name, port).Where(result => result.IsBad).Select(result => result.Name)];
        }

        // They are the definition but for prefixes.
        foreach (Defect defect in DefectCatalogue.OfPrefixes.Where(defect => !caughtBy.ContainsKey(defect.Name)))
        {
            using CompositionPort port = new(defect.Name, Composition.Of(defect));
            caughtBy[defect.Name] = [.. SuiteRunner.Results(options, PrefixProperties.All, defect.Name, port).Where(result => result.IsBad).Select(result => result.Name)];
        }

        // They are the definition but for slices.
        foreach (SliceMistake mistake in SliceMistake.All)
        {
            using SliceMistakePort port = new(mistake.Name, mistake);
            caughtBy[mistake.Name] = [.. SuiteRunner.Results(options, SliceProperties.All, mistake.Name, port).Where(result => result.IsBad).Select(result => result.Name)];
        }

        RecordedLines.AssertEqualOrUpdate(
            "Conformance/Tests/Properties/matrix.txt",
            "Which defect does each property catch?",
            PropertyCatalogue.All.Select(property => (property.Name, string.Join(", ", caughtBy.Where(pair => pair.Value.Contains(property.Name)).Select(pair => pair.Key)))));
        Assert.All(caughtBy, pair => Assert.True(pair.Value.Count > 0, $"No property catches {pair.Key}."));
        Assert.All(PropertyCatalogue.All, property => Assert.True(caughtBy.Values.Any(names => names.Contains(property.Name)), $"{property} catches no defect."));
    }

    [Fact]
    public void Every_true_theorem_is_observed_by_a_property()
    {
        foreach (Theorem theorem in Theorems.True())
            Assert.True(
                PropertyCatalogue.All.Any(property => property.Theorems.Any(pattern => Matches(pattern, theorem.Name))), $"No property observes {theorem}.");
    }

    [Fact]
    public void Every_theorem_that_a_property_names_exists()
    {
        string[] names = [.. Theorems.Catalogue.Select(theorem => theorem.Name), .. Theorems.Kernel.Concat(Theorems.Slices).Concat(Theorems.Patterns).Concat(Theorems.Grids).Concat(Theorems.Prefixes).Select(statement => statement.Name)];
        Assert.All(PropertyCatalogue.All.SelectMany(property => property.Theorems), pattern => Assert.Contains(names, name => Matches(pattern, name)));
    }

    [Fact]
    public void Names_are_unique() =>
        Assert.Equal(PropertyCatalogue.All.Length, PropertyCatalogue.All.Select(property => property.Name).Distinct().Count());

    private static bool Matches(string pattern, string name) => pattern.EndsWith('*') ? name.StartsWith(pattern[..^1], StringComparison.Ordinal) : name == pattern;

    internal static Property Named(string name) => PropertyCatalogue.All.Single(property => property.Name == name);
}
