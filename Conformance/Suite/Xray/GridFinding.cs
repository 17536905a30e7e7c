// What does a port compute where tokens stand on several axes?
using System.Collections.Immutable;
using System.Globalization;
using S2Attn.Reference.Upstream;

namespace S2Attn.Conformance.Xray;

/// <summary>What is found at grids of tokens.</summary>
internal static class GridFinding
{
    private const int MostListed = 6;

    private static readonly PartRegion Region = new("where tokens stand on several axes", "probed grids", "grids");

    /// <summary>The finding of some films.</summary>
    public static PartFinding Of(ImmutableArray<XrayFilm> films, ImmutableArray<XrayFailure> failures, CancellationToken cancellation)
    {
        // The rows that the definition does not explain come first: they tell most.
        Dictionary<XrayFilm, int[]> rows = films.ToDictionary(film => film, film => new GridPrediction(film, new()) is var right ? Enumerable.Range(0, film.Probe.Rows).OrderBy(right.SeesAsFilmed).ToArray() : []);
        return PartFinding.Of(Region, films, failures, DefectCatalogue.OfGrids, Explains, Differences);

        bool Explains(Composition composition, XrayFilm film)
        {
            cancellation.ThrowIfCancellationRequested();
            return new GridPrediction(film, composition.Build().Grid).IsAsFilmed(rows[film]);
        }
    }

    // The first row of each kind of head that sees other tokens than the definition's.
    private static IEnumerable<string> Differences(XrayFilm film)
    {
        XrayProbe probe = film.Probe;
        GridPrediction right = new(film, new());
        foreach (bool shifts in new[] { true, false })
            if (Enumerable.Range(0, probe.Rows).Where(row => probe.Config.ShiftedHeads.IsShifted(probe.RowAt(row).Head, probe.Config.Heads) == shifts && !right.SeesAsFilmed(row)).Take(1).ToArray() is [var row])
            {
                double[] expected = right.EqualWeights(row);
                int[] seen = [.. Enumerable.Range(0, probe.Sources).Where(source => film.Equal.Elements[row * probe.Sources + source] != 0)], sees = [.. Enumerable.Range(0, probe.Sources).Where(source => expected[source] != 0)];
                Place place = probe.RowAt(row);
                string differs = string.Join(", and ", new[] { Listed("sees also", seen.Except(sees)), Listed("does not see", sees.Except(seen)) }.Where(text => text.Length > 0));
                yield return string.Create(
                    CultureInfo.InvariantCulture, $"At {probe}: in head {place.Head}, which {(shifts ? "shifts" : "does not shift")}, token {At(place.Token)} {(differs.Length > 0 ? differs : "sees what it should, with other weights")}.");
            }

        string Listed(string what, IEnumerable<int> sources)
        {
            string[] tokens = [.. sources.Select(source => At(probe.SourceAt(source).Token)).Distinct()];
            return tokens.Length == 0 ? "" : $"{what} {string.Join(" ", tokens.Take(MostListed))}{(tokens.Length > MostListed ? string.Create(CultureInfo.InvariantCulture, $" and {tokens.Length - MostListed} more") : "")}";
        }

        string At(int token)
        {
            int[] places = new int[probe.Grid!.Axes.Length];
            for (int axis = places.Length - 1; axis >= 0; axis--)
                (token, places[axis]) = (token / probe.Grid.Axes[axis].Tokens, token % probe.Grid.Axes[axis].Tokens);
            return $"({string.Join(",", places)})";
        }
    }
}
