// What do known deviations of other code do, and which property sees each?
using System.Collections.Immutable;
using S2Attn.Conformance.Ports;
using S2Attn.Conformance.Properties;
using S2Attn.Conformance.Running;
using S2Attn.Reference.Upstream;

namespace S2Attn.Conformance.Reports;

/// <summary>Runs the properties against every profile of <see cref="UpstreamProfiles"/>.</summary>
public static class VariantRun
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(0.5);

    /// <summary>One row for each profile, with the smallest case of the first property that says most of where data goes.</summary>
    /// <param name="options">Seed and cases; a property ends with its first failing case.</param>
    /// <param name="filter">Only properties whose name contains this text.</param>
    /// <param name="cancellation">Ends the run between cases; profiles that were not begun are left out.</param>
    public static IEnumerable<ReportVariant> Run(SuiteOptions options, string filter, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(options);
        Property[] chosen = [.. PropertyCatalogue.All.Where(property => CheckRun.Matches(filter, property.Name))];
        foreach (UpstreamProfile profile in UpstreamProfiles.All)
        {
            if (cancellation.IsCancellationRequested)
                yield break;
            using ProfilePort port = new(profile);
            PropertyResult[] caught = [.. SuiteRunner.Results(options with { StopAtFirstFailure = true, ShrinkLimit = TimeSpan.Zero }, chosen, profile.Name, port, cancellation).Where(result => result.IsBad)];

            // Visibility says in words which query sees which key; agreement only that numbers differ. That one case is shown, and so it alone is made smaller.
            ImmutableArray<Counterexample> told =
            [
                .. caught.OrderBy(result => result.Name.StartsWith("Visibility", StringComparison.Ordinal) ? 0 : result.Name.StartsWith("Shift", StringComparison.Ordinal) ? 1 : 2).Take(1)
                    .SelectMany(result => result.Counterexample.SelectMany(found => found.Shrunk)
                        .Select(failing => SuiteRunner.Smaller(Limit, chosen.Single(property => property.Name == result.Name), port, failing, cancellation))),
            ];
            yield return new(profile.Name, profile.Difference, [.. caught.Select(result => result.Name)], told);
        }
    }
}
