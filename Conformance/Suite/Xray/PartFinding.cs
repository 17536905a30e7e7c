// What does a port compute where a case is more than a text: tokens on several axes, or a prefix? And what is its author to change?
using System.Collections.Immutable;
using System.Globalization;
using S2Attn.Reference.Upstream;

namespace S2Attn.Conformance.Xray;

/// <summary>What is looked at beside texts, in words.</summary>
/// <param name="Where">"where tokens stand on several axes".</param>
/// <param name="Sizes">"probed grids".</param>
/// <param name="Capability">What a port declares that claims it.</param>
internal sealed record PartRegion(string Where, string Sizes, string Capability)
{
    /// <summary>What of the port is another matter; empty where nothing is.</summary>
    public string ButFor { get; init; } = "";
}

/// <summary>What was found there.</summary>
/// <param name="Looked">The sizes that answered.</param>
/// <param name="Failures">The sizes that did not.</param>
/// <param name="Explanation">What the port is there; nothing where no size answered.</param>
/// <param name="Words">Where it differs from the definition, where nothing explains all of it.</param>
public sealed record PartFinding(ImmutableArray<XrayProbe> Looked, ImmutableArray<XrayFailure> Failures, Explanation? Explanation, ImmutableArray<string> Words)
{
    private const int MostDefects = 3, MostParts = 2, MostAlternatives = 4;

    private readonly PartRegion region = new("", "", "");

    private PartFinding(PartRegion region, ImmutableArray<XrayProbe> looked, ImmutableArray<XrayFailure> failures, Explanation? explanation, ImmutableArray<string> words)
        : this(looked, failures, explanation, words) => this.region = region;

    /// <summary>Whether it answers every size as the definition.</summary>
    public bool IsDefinition => Failures.IsEmpty && Explanation is { IsDefinition: true };

    /// <summary>The names of the defects where everything is explained; else none.</summary>
    public ImmutableArray<string> Names => Explanation is null || Explanation.IsDefinition ? [] : Explanation.Names;

    /// <summary>What it is, and what to change, in sentences.</summary>
    /// <param name="name">Who is asked.</param>
    public IEnumerable<string> Sentences(string name)
    {
        string where = region.Where, capital = $"{char.ToUpperInvariant(where[0])}{where[1..]}";
        string at = string.Create(CultureInfo.InvariantCulture, $"at all {Looked.Length} {region.Sizes}");
        if (IsDefinition)
            return [$"{capital} {name} equals the definition{region.ButFor}, {at}."];
        if (Looked.IsEmpty && Failures.IsEmpty)
            return [$"None of what {name} claims {where} is small enough for an X-ray."];
        List<string> said = [];
        if (Explanation is { ExplainedAt: > 0, Composition: var composition } explanation)
        {
            string some = explanation.IsWhole ? at : string.Create(CultureInfo.InvariantCulture, $"at {explanation.ExplainedAt} of {Looked.Length} {region.Sizes}");
            string elsewhere = explanation.Unexplained.IsEmpty ? "" : $" At {explanation.Unexplained[0]}{(explanation.Unexplained.Length > 1 ? ", and others," : "")} it computes something else, which is not known.";
            bool several = composition.Defects.Length > 1;
            if (!composition.Defects.IsEmpty)
            {
                said.Add($"{name} is {string.Join(" + ", composition.Defects)} {where}, {some}: {Each(several, composition.Defects.Select(defect => defect.What))}{elsewhere}");
                said.Add($"To fix: {Each(several, composition.Defects.Select(defect => defect.Fix))}");
            }
            else if (!explanation.IsWhole)
            {
                said.Add($"{capital} {name} equals the definition{region.ButFor} {some}.{elsewhere}");
            }

            if (explanation.Compositions.Length > 1)
                said.Add($"Not to be told apart there: {string.Join("; ", explanation.Compositions[1..].Take(MostAlternatives))}{(explanation.Compositions.Length > MostAlternatives + 1 ? "; and others" : "")}.");
        }
        else if (Explanation is not null)
        {
            said.Add($"{capital} {name} is nothing that up to {MostDefects} known defects explain.");
        }

        if (!Failures.IsEmpty)
            said.Add($"To fix: let it answer {string.Join(" and ", Failures.Take(MostParts).Select(failure => failure.Probe))}{(Failures.Length > MostParts ? ", and others" : "")}, or do not declare {region.Capability} (docs/port-protocol.md, Capabilities): {Failures[0].Reason}.");
        return [.. said, .. Words];
    }

    private static string Each(bool several, IEnumerable<string> sentences) => string.Join(" ", sentences.Select((sentence, i) => several ? string.Create(CultureInfo.InvariantCulture, $"({i + 1}) {sentence}") : sentence));

    /// <summary>The compositions of the fewest of some defects that give every answer of the films; where there are none, those that explain most films.</summary>
    /// <param name="region">What is looked at.</param>
    /// <param name="films">The films.</param>
    /// <param name="failures">The sizes that gave no answer.</param>
    /// <param name="defects">The defects.</param>
    /// <param name="explains">Whether a composition of them gives all answers of a film.</param>
    /// <param name="differences">Where a film differs from the definition.</param>
    internal static PartFinding Of(
        PartRegion region, ImmutableArray<XrayFilm> films, ImmutableArray<XrayFailure> failures, ImmutableArray<Defect> defects, Func<Composition, XrayFilm, bool> explains, Func<XrayFilm, IEnumerable<string>> differences)
    {
        Explanation? explanation = films.IsEmpty ? null : Explain(films, defects, explains);
        return new(region, [.. films.Select(film => film.Probe)], failures, explanation, explanation is null or { IsWhole: true } ? [] : [.. films.SelectMany(differences).Take(MostParts)]);
    }

    private static Explanation Explain(ImmutableArray<XrayFilm> films, ImmutableArray<Defect> defects, Func<Composition, XrayFilm, bool> explains)
    {
        for (int size = 0; size <= MostDefects; size++)
        {
            ImmutableArray<Composition> whole = [.. Suspects.SetsOf(defects, size).Where(composition => films.All(film => explains(composition, film)))];
            if (!whole.IsEmpty)
                return new(ExplanationSearch.Ranked(whole), ExplainedAt: films.Length, Rows: 1, Unexplained: []);
        }

        (Composition Composition, int Count)[] parts =
            [.. Enumerable.Range(0, MostParts + 1).SelectMany(size => Suspects.SetsOf(defects, size)).Select(composition => (composition, films.Count(film => explains(composition, film))))];
        int most = parts.Max(part => part.Count), fewest = parts.Where(part => part.Count == most).Min(part => part.Composition.Defects.Length);
        ImmutableArray<Composition> best = ExplanationSearch.Ranked([.. parts.Where(part => part.Count == most && part.Composition.Defects.Length == fewest).Select(part => part.Composition)]);
        return new(best, most, Rows: 0, [.. films.Where(film => !explains(best[0], film)).Select(film => film.Probe)]);
    }
}
