// What does a port compute where tokens stand on several axes, and what is its author to change?
using System.Collections.Immutable;
using System.Globalization;
using S2Attn.Conformance.Ports;
using S2Attn.Reference.Upstream;
using S2Attn.Spec;

namespace S2Attn.Conformance.Xray;

/// <summary>What was found at grids of tokens.</summary>
/// <param name="Looked">The grids that answered.</param>
/// <param name="Failures">The grids that did not.</param>
/// <param name="Explanation">What the port is there; nothing where no grid answered.</param>
/// <param name="Words">Where it differs from the definition, where nothing explains all of it.</param>
public sealed record GridFinding(ImmutableArray<XrayProbe> Looked, ImmutableArray<XrayFailure> Failures, Explanation? Explanation, ImmutableArray<string> Words)
{
    private const int MostDefects = 3, MostParts = 2, MostAlternatives = 4, MostListed = 6;

    /// <summary>Whether it answers every grid as the definition.</summary>
    public bool IsDefinition => Failures.IsEmpty && Explanation is { IsDefinition: true };

    /// <summary>The names of the defects where everything is explained; else none.</summary>
    public ImmutableArray<string> Names => Explanation is null || Explanation.IsDefinition ? [] : Explanation.Names;

    /// <summary>What it is, and what to change, in sentences.</summary>
    /// <param name="name">Who is asked.</param>
    public IEnumerable<string> Sentences(string name)
    {
        string at = string.Create(CultureInfo.InvariantCulture, $"at all {Looked.Length} probed grids");
        if (IsDefinition)
            return [$"Where tokens stand on several axes {name} equals the definition, {at}."];
        if (Looked.IsEmpty && Failures.IsEmpty)
            return [$"No grid of tokens that {name} claims is small enough for an X-ray."];
        List<string> said = [];
        if (Explanation is { ExplainedAt: > 0, Composition: var composition } explanation)
        {
            string where = explanation.IsWhole ? at : string.Create(CultureInfo.InvariantCulture, $"at {explanation.ExplainedAt} of {Looked.Length} probed grids");
            string elsewhere = explanation.Unexplained.IsEmpty ? "" : $" At {explanation.Unexplained[0]}{(explanation.Unexplained.Length > 1 ? ", and others," : "")} it computes something else, which is not known.";
            bool several = composition.Defects.Length > 1;
            if (!composition.Defects.IsEmpty)
            {
                said.Add($"{name} is {string.Join(" + ", composition.Defects)} where tokens stand on several axes, {where}: {Each(several, composition.Defects.Select(defect => defect.What))}{elsewhere}");
                said.Add($"To fix: {Each(several, composition.Defects.Select(defect => defect.Fix))}");
            }
            else if (!explanation.IsWhole)
            {
                said.Add($"Where tokens stand on several axes {name} equals the definition {where}.{elsewhere}");
            }

            if (explanation.Compositions.Length > 1)
                said.Add($"Not to be told apart at these grids: {string.Join("; ", explanation.Compositions[1..].Take(MostAlternatives))}{(explanation.Compositions.Length > MostAlternatives + 1 ? "; and others" : "")}.");
        }
        else if (Explanation is not null)
        {
            said.Add($"Where tokens stand on several axes {name} is nothing that up to {MostDefects} known defects explain.");
        }

        if (!Failures.IsEmpty)
            said.Add($"To fix: let it answer {string.Join(" and ", Failures.Take(MostParts).Select(failure => failure.Probe))}{(Failures.Length > MostParts ? ", and others" : "")}, or do not declare grids (docs/port-protocol.md, Capabilities): {Failures[0].Reason}.");
        return [.. said, .. Words];
    }

    private static string Each(bool several, IEnumerable<string> sentences) => string.Join(" ", sentences.Select((sentence, i) => several ? string.Create(CultureInfo.InvariantCulture, $"({i + 1}) {sentence}") : sentence));

    /// <summary>The finding of some films.</summary>
    internal static GridFinding Of(ImmutableArray<XrayFilm> films, ImmutableArray<XrayFailure> failures, CancellationToken cancellation)
    {
        Explanation? explanation = films.IsEmpty ? null : Explain(films, cancellation);
        return new([.. films.Select(film => film.Probe)], failures, explanation, explanation is null or { IsWhole: true } ? [] : [.. films.SelectMany(Differences).Take(MostParts)]);
    }

    /// <summary>The compositions of the fewest defects of grids that give every answer of the films; where there are none, those that explain most films.</summary>
    private static Explanation Explain(ImmutableArray<XrayFilm> films, CancellationToken cancellation)
    {
        // The rows that the definition does not explain come first: they tell most.
        (XrayFilm Film, int[] Rows)[] ordered = [.. films.Select(film => (film, new GridPrediction(film, new()) is var right ? Enumerable.Range(0, film.Probe.Rows).OrderBy(right.SeesAsFilmed).ToArray() : []))];
        for (int size = 0; size <= MostDefects; size++)
        {
            ImmutableArray<Composition> whole = [.. ExplanationSearch.SetsOf(DefectCatalogue.OfGrids, size).Where(composition => ordered.All(film => Explains(composition, film)))];
            if (!whole.IsEmpty)
                return new(ExplanationSearch.Ranked(whole), ExplainedAt: films.Length, Rows: 1, Unexplained: []);
        }

        (Composition Composition, int Count)[] parts =
            [.. Enumerable.Range(0, MostParts + 1).SelectMany(size => ExplanationSearch.SetsOf(DefectCatalogue.OfGrids, size)).Select(composition => (composition, ordered.Count(film => Explains(composition, film))))];
        int most = parts.Max(part => part.Count), fewest = parts.Where(part => part.Count == most).Min(part => part.Composition.Defects.Length);
        ImmutableArray<Composition> best = ExplanationSearch.Ranked([.. parts.Where(part => part.Count == most && part.Composition.Defects.Length == fewest).Select(part => part.Composition)]);
        return new(best, most, Rows: 0, [.. ordered.Where(film => !Explains(best[0], film)).Select(film => film.Film.Probe)]);

        bool Explains(Composition composition, (XrayFilm Film, int[] Rows) film)
        {
            cancellation.ThrowIfCancellationRequested();
            return new GridPrediction(film.Film, composition.Build().Grid).IsAsFilmed(film.Rows);
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
