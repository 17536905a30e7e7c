// Which smallest composition of defects answers as the port does?
using System.Collections.Immutable;
using System.Globalization;
using S2Attn.Reference.Upstream;
using S2Attn.Spec;

namespace S2Attn.Conformance.Xray;

/// <summary>
/// Looks for the fewest defects that reproduce every structural answer at every size that answered. The stages fall into parts that are seen in different answers: what is seen
/// without padding, what padding changes, the logsumexp, the gradients; each is searched with the ones before it in place.
/// </summary>
internal sealed class ExplanationSearch
{
    private const int MostForward = 3, MostForwardWhereLed = 1, MostPadding = 2, MostBackward = 2, MostAlternatives = 64, MostMeasured = 4, MostIndexed = Suspects.MostBesideCut;

    // Where equal scores tell nothing, all that changes scores alone has to be compared question by question.
    private const int MostToScore = 4096, MostThreesToScore = 512;

    private readonly ImmutableArray<XrayFilm> films, plain, padded, paddedFirst;
    private readonly Suspects suspects;
    private readonly ImmutableArray<StructureIndex> index;

    // What the films are made of, where no port was asked: its own answers need not be computed again.
    private readonly ImmutableArray<Defect>? source;
    private readonly ImmutableArray<Stages> sourceStages;

    // What of them shows without padding; none where their padding shows there too, in rows without keys.
    private readonly Composition? shownPlain;
    private readonly Lazy<ImmutableArray<(Composition Composition, bool EvenEmptyRows)>> matching;
    private readonly Dictionary<int, ImmutableArray<Composition>> explaining = [], whereKeysAreSeen = [];
    private readonly HashSet<Composition> readsAsFilmed = new(ReferenceEqualityComparer.Instance);
    private readonly int mostForward;
    private readonly CancellationToken cancellation;

    private ExplanationSearch(IEnumerable<XrayFilm> films, Suspects suspects, ImmutableArray<StructureIndex> index, int mostForward, CancellationToken cancellation)
    {
        this.films = [.. films];
        this.suspects = suspects;
        this.index = index;
        this.mostForward = mostForward;
        source = this.films.SelectMany(film => film.MadeOf).FirstOrDefault()?.Defects;
        sourceStages = [.. this.films.SelectMany(film => film.MadeOf).Take(1).Select(composition => composition.Build())];
        shownPlain = sourceStages is [var stages] && Composition.Of(source!.Value.Where(IsPlain)) is var composition && ReferenceEquals(composition.Build().Hide, stages.Hide) ? composition : null;
        this.cancellation = cancellation;

        // The sizes at which least is alike come first, the long ones last.
        plain = [.. this.films.Where(film => !film.Probe.IsPadded).OrderBy(film => film.Probe.Rows > 512 ? 1 : 0)];
        padded = [.. this.films.Where(film => film.Probe.IsPadded)];
        paddedFirst = [.. padded, .. plain];
        matching = new(() => [.. this.index.SelectMany(known => known.Matching(plain, shownPlain)).Where(item => suspects.Hold(item.Composition))]);
    }

    /// <summary>The explanation of some films; there is at least one. Where something leads that has to be changed before any stage can be told, one defect is tried: that more fit would be chance.</summary>
    public static Explanation Of(ImmutableArray<XrayFilm> films, CancellationToken cancellation) => Of(films, Suspects.All, [], cancellation);

    /// <summary>The same where some defects alone are suspected, with an index or none.</summary>
    public static Explanation Of(ImmutableArray<XrayFilm> films, Suspects suspects, ImmutableArray<StructureIndex> index, CancellationToken cancellation) =>
        Of(new(films, suspects, index, HabitFindings.Lead(films) ? MostForwardWhereLed : MostForward, cancellation));

    /// <summary>The same of films that are made of known defects, so that nothing leads and three are always tried, with an index over all compositions of at most <see cref="MostIndexed"/> forward defects, or none.</summary>
    public static Explanation Of(IEnumerable<XrayFilm> films, ImmutableArray<StructureIndex> index, CancellationToken cancellation) => Of(new(films, Suspects.All, index, MostForward, cancellation));

    private static Explanation Of(ExplanationSearch search)
    {
        ImmutableArray<Composition> whole = search.Whole();
        return whole.IsEmpty ? search.Part() : new(Ranked(whole), ExplainedAt: search.films.Length, Rows: 1, Unexplained: []);
    }

    /// <summary>An index over the forward defects, for runs that look through many ports.</summary>
    public static StructureIndex NewIndex() =>
        new([.. Enumerable.Range(0, MostIndexed + 1).SelectMany(size => Suspects.All.Sets(Suspects.All.Structure, size)), .. Enumerable.Range(0, MostIndexed + 1).SelectMany(size => Suspects.All.CutBeside(size))]);

    /// <summary>All compositions of the fewest defects that explain everything.</summary>
    private ImmutableArray<Composition> Whole()
    {
        int most = mostForward + MostPadding;
        for (int total = 0; total <= most; total++)
        {
            // A shift that was measured explains more than two known defects, which would hit it by chance.
            List<Composition> found = [.. total is 2 or 3 ? Measured(total - 2) : []];
            for (int size = Math.Min(total, mostForward); size >= 0 && total - size <= MostPadding; size--)
            {
                if (total - size > 0 && padded.IsEmpty)
                    break;

                // Padding tells most apart: what has to explain it without a defect of padding is held against it first.
                if (size == total && !padded.IsEmpty && index.IsEmpty && ExplainingAll(size) is { Length: < MostAlternatives } all)
                {
                    found.AddRange(all);
                    continue;
                }

                ImmutableArray<Composition> explaining = Explaining(size);
                foreach (Composition structure in explaining)
                    found.AddRange(suspects.Sets(suspects.Padding, total - size).Select(padding => Suspects.Joined(structure, padding)).SelectMany(joined => joined).Where(joined => Explains(joined, padded)));

                // Where so many look alike without padding that some were left out, one of those may be what padding shows.
                if (size == total && explaining.Length >= MostAlternatives && found.Count == 0)
                    found.AddRange(WhereKeysAreSeen(size).Where(structure => Explains(structure, padded) && Explains(structure, plain)).Take(MostAlternatives));
            }

            found = [.. found.DistinctBy(composition => composition.Name)];
            ImmutableArray<Composition> complete = [.. LogSumFirst(found).SelectMany(WithRest)];
            if (!complete.IsEmpty)
            {
                int fewest = complete.Min(composition => composition.Defects.Length);
                return [.. complete.Where(composition => composition.Defects.Length == fewest)];
            }

            // The forward pass is explained, and something else is not: what one or two defects more do besides may be it, but not what any number does.
            if (found.Count > 0)
                most = Math.Min(most, total + MostBackward);
        }

        return [];
    }

    /// <summary>The compositions of so many forward defects that explain what is seen without padding.</summary>
    private ImmutableArray<Composition> Explaining(int size)
    {
        if (!explaining.TryGetValue(size, out var known))
        {
            known = index is [var shared] && shownPlain is { } shown && shown.Defects.Length < source?.Length ? shared.Explaining(shown, size, () => ExplainingPlain(size)) : ExplainingPlain(size);
            explaining[size] = known = WithLogSumFirst(known, size);
        }

        return known;
    }

    private ImmutableArray<Composition> ExplainingPlain(int size) =>
        [.. CutWhereAsked(size, plain), .. Candidates(size, WhereKeysAreSeen(size)).Where(composition => Explains(composition, plain)).Take(MostAlternatives)];

    /// <summary>Those that explain every film, not more than are kept; films with padding are looked at first.</summary>
    private ImmutableArray<Composition> ExplainingAll(int size) =>
        [.. CutWhereAsked(size, paddedFirst).Concat(Candidates(size, suspects.Sets(suspects.Structure, size)).Where(composition => Explains(composition, paddedFirst))).Take(MostAlternatives)];

    // Where rows read a single key the scale shows in the logsumexp alone, and may stand behind many others that show in nothing.
    private IEnumerable<Composition> Candidates(int size, IEnumerable<Composition> ofStructure) =>
        (size > 0 ? Explaining(size - 1) : []).SelectMany(structure => suspects.Scales.SelectMany(scale => Suspects.Joined(structure, Composition.Of(scale))))
            .Concat(ofStructure)
            .Concat(size > 0 ? WhereKeysAreSeen(size - 1).SelectMany(WithEmptyRows) : [])
            .Concat(size == 2 ? suspects.HiddenInSoftmax : []);

    // Where more explain what is seen than are kept, one that the logsumexp alone tells from the others may be among those left out.
    private ImmutableArray<Composition> WithLogSumFirst(ImmutableArray<Composition> explaining, int size) => explaining.Length < MostAlternatives ? explaining :
        Kept(WhereKeysAreSeen(size).Where(composition => LogSumsAsFilmed(composition, plain) && Explains(composition, plain)), explaining);

    // The same of what explains the forward pass with padding too: where a row reads itself alone, for example, o tells nothing of a mask.
    private ImmutableArray<Composition> LogSumFirst(List<Composition> found) => found.Count <= MostAlternatives ? [.. found] :
        Kept(found.Where(composition => LogSumsAsFilmed(composition, paddedFirst)), found);

    private static ImmutableArray<Composition> Kept(IEnumerable<Composition> first, IEnumerable<Composition> all) =>
        [.. first.Concat(all).DistinctBy(composition => composition.Name).Take(MostAlternatives)];

    private bool LogSumsAsFilmed(Composition composition, ImmutableArray<XrayFilm> shown)
    {
        cancellation.ThrowIfCancellationRequested();
        Stages stages = composition.Build();
        return shown.All(film => new Prediction(film, stages).LogSumAsFilmed());
    }

    private ImmutableArray<Composition> WhereKeysAreSeen(int size)
    {
        if (!whereKeysAreSeen.TryGetValue(size, out var seen))
            whereKeysAreSeen[size] = seen = [.. ReadingAsFilmed(size).Take(size < MostForward ? MostToScore : MostThreesToScore)];
        return seen;
    }

    // A roll that goes wrong beside a mask that cuts by tokens, and so stays right.
    private IEnumerable<Composition> CutWhereAsked(int defects, ImmutableArray<XrayFilm> shown) => defects > MostIndexed || !plain.Any(film => film.Probe.Config.Mask.CutsWrappedRun())
        ? []
        : (index.IsEmpty ? suspects.CutBeside(defects) : Matching(defects + 1, isCut: true)).Where(composition => Explains(composition, shown));

    private IEnumerable<Composition> Matching(int defects, bool isCut) =>
        matching.Value.Select(item => item.Composition).Where(composition => composition.Defects.Length == defects && composition.Defects.Contains(DefectCatalogue.CutWhereAsked) == isCut);

    // Rows that a wrong mask leaves without a key show how such rows are filled without any padding.
    private IEnumerable<Composition> WithEmptyRows(Composition composition) =>
        Explains(composition, plain) ? [] : suspects.EmptyRows.SelectMany(empty => Suspects.Joined(composition, Composition.Of(empty)));

    private IEnumerable<Composition> ReadingAsFilmed(int defects)
    {
        if (index.IsEmpty || defects > MostIndexed)
            return suspects.Sets(suspects.Structure, defects).Where(ExplainsWhereKeysAreSeen);
        readsAsFilmed.UnionWith(matching.Value.Where(item => item.EvenEmptyRows).Select(item => item.Composition));
        return Matching(defects, isCut: false);
    }

    private bool ExplainsWhereKeysAreSeen(Composition composition)
    {
        cancellation.ThrowIfCancellationRequested();
        Stages stages = composition.Build();
        bool even = true;
        foreach (XrayFilm film in plain)
        {
            (bool seen, bool evenEmptyRows) = new Prediction(film, stages).Sees();
            if (!seen)
                return false;
            even &= evenEmptyRows;
        }

        if (even)
            readsAsFilmed.Add(composition);
        return true;
    }

    /// <summary>So many known defects beside a shift that is measured at each size; none where it is S.</summary>
    private IEnumerable<Composition> Measured(int others) => plain.IsEmpty ? [] : suspects.Sets(suspects.Structure, others).SelectMany(other =>
    {
        Dictionary<S2Config, int> shifts = [];
        foreach (XrayFilm film in films)
        {
            int shift = Enumerable.Range(0, film.Probe.Config.Tokens).Where(shift => With(_ => shift, "").Any(composition => Explains(composition, [film]))).FirstOrDefault(-1);
            if (shift < 0)
                return [];
            shifts[film.Probe.Config] = shift;
        }

        string words = string.Join(", ", shifts.Where(item => item.Value != item.Key.Shift)
            .Select(item => string.Create(CultureInfo.InvariantCulture, $"{item.Value} where G is {item.Key.GroupSize} and S is {item.Key.Shift}")).Distinct().Take(MostMeasured));
        return words.Length == 0 ? [] : With(config => shifts.GetValueOrDefault(config, config.Shift), words);

        IEnumerable<Composition> With(Func<S2Config, int> amount, string words) => Suspects.Joined(other, Composition.Of(DefectCatalogue.AnotherShift(amount, words)));
    });

    /// <summary>The forward structure completed by what explains its logsumexp and its gradients; none where nothing does.</summary>
    private IEnumerable<Composition> WithRest(Composition forward)
    {
        Stages stages = forward.Build();
        ImmutableArray<Prediction> known = [.. films.OrderBy(film => film.Probe.Rows).Select(film => new Prediction(film, stages))];
        Composition[] lse = Fewest(forward, known, suspects.LogSum, 1, prediction => prediction.LogSumAsFilmed(), defect => !defect.IsBackward, stages => stages.LogSum);
        return lse.SelectMany(composition => Fewest(composition, known, suspects.Backward, MostBackward, prediction => prediction.GradientsAsFilmed(), defect => defect.Stage is not Stage.LogSum, stages => ReferenceEquals(stages.Backward, Stages.Definition.Backward) ? stages.Backward : null));
    }

    private static bool IsForward(Defect defect) => !defect.IsBackward && defect.Stage is not Stage.LogSum;

    private static bool IsPlain(Defect defect) => IsForward(defect) && defect.Stage is not Stage.Padding;

    /// <summary>Whether of some kinds of defects a composition has those that the films are made of, and no others.</summary>
    private bool IsSource(Composition composition, Func<Defect, bool> counts) => source is { } defects && composition.Defects.Where(counts).SequenceEqual(defects.Where(counts), ReferenceEqualityComparer.Instance);

    /// <summary>Whether every row reads what it reads by what the films are made of, which then need not be asked.</summary>
    private bool ReadsAsSource(Composition composition, Prediction prediction) =>
        index is [var shared] && source is { } defects && shared.ReadAlike(Composition.Of(composition.Defects.Where(IsForward)), Composition.Of(defects.Where(IsForward)), prediction.Probe);

    /// <summary>The fewest defects of a kind that complete a composition, so that one more answer is the films'.</summary>
    /// <param name="before">The composition.</param>
    /// <param name="known">Its predictions.</param>
    /// <param name="defects">The defects.</param>
    /// <param name="most">How many are tried.</param>
    /// <param name="asFilmed">Whether the answer is that of a film.</param>
    /// <param name="counts">Which defects the answer depends on.</param>
    /// <param name="rule">By which rule the answer follows from what is read; none where it depends on more.</param>
    private Composition[] Fewest(Composition before, ImmutableArray<Prediction> known, ImmutableArray<Defect> defects, int most, Func<Prediction, bool> asFilmed, Func<Defect, bool> counts, Func<Stages, object?> rule)
    {
        for (int size = 0; size <= most; size++)
        {
            Composition[] found =
            [
                .. suspects.Sets(defects, size).SelectMany(more => Suspects.Joined(before, more)).Where(joined =>
                {
                    cancellation.ThrowIfCancellationRequested();
                    if (IsSource(joined, counts))
                        return true;
                    Stages stages = joined.Build();
                    bool byOneRule = sourceStages.Any(own => rule(stages) is { } mine && mine.Equals(rule(own)));
                    return known.All(prediction => (byOneRule && ReadsAsSource(joined, prediction)) || asFilmed(prediction.WithSameReads(stages)));
                }).Take(MostAlternatives),
            ];
            if (found.Length > 0)
                return found;
        }

        return [];
    }

    private bool Explains(Composition composition, ImmutableArray<XrayFilm> shown)
    {
        cancellation.ThrowIfCancellationRequested();
        if (IsSource(composition, shown == plain ? IsPlain : IsForward))
            return true;
        Stages stages = composition.Build();
        List<Prediction> seen = [];
        foreach (XrayFilm film in shown)
        {
            Prediction prediction = new(film, stages);
            if (!(shown == plain && readsAsFilmed.Contains(composition)) && !prediction.SeesAsFilmed())
                return false;
            seen.Add(prediction);
        }

        // The first question tells most; where it tells nothing, mostly the same is read.
        return seen.TrueForAll(prediction => prediction.ScoresAsFilmed(questions: 1)) && seen.TrueForAll(prediction => ReadsAsSource(composition, prediction) || prediction.ScoresAsFilmed());
    }

    /// <summary>What explains most, where nothing explains all: most sizes, else most rows.</summary>
    private Explanation Part()
    {
        (Composition Composition, int Sizes)[] bySizes =
        [
            .. FirstSizeAlone()
                .Take(MostAlternatives)
                .SelectMany(structure => Enumerable.Range(0, 2).SelectMany(size => suspects.Sets(suspects.Padding, size)).SelectMany(padding => Suspects.Joined(structure, padding)))
                .Select(composition => (Composition: composition, Sizes: films.Count(film => Explains(composition, [film]))))

                // Of so many threes some fit a size or two by chance, and their advice would lead astray.
                .Where(item => item.Sizes == films.Length || item.Sizes > item.Composition.Defects.Length),
        ];
        if (bySizes.Length > 0 && bySizes.Max(item => item.Sizes) is > 0 and int most)
        {
            ImmutableArray<Composition> best = Ranked([.. bySizes.Where(item => item.Sizes == most).GroupBy(item => item.Composition.Defects.Length).OrderBy(group => group.Key).First().Select(item => item.Composition)]);
            Stages stages = best[0].Build();
            ILookup<bool, XrayFilm> explained = films.ToLookup(film => Explains(best[0], [film]));
            return new(best, most, Rows: 1, [.. explained[false].Select(film => film.Probe)])
            {
                IsClaimed = most == films.Length || best[0].Defects.IsEmpty
                    || explained[true].Count(film => !Explains(Composition.Definition, [film])) > best[0].Defects.Length
                        && SilentSizes.Common([.. explained[false].Select(film => film.Probe)], [.. explained[true].Select(film => film.Probe)]).Length > 0,
                ForwardIsWhole = most == films.Length,
                Unseen = [.. most == films.Length ? Unseen(stages) : []],
            };
        }

        int rows = films.Sum(film => film.Probe.Rows);
        (Composition Composition, int Rows)[] byRows = [.. Enumerable.Range(0, 2).SelectMany(size => suspects.Sets(suspects.Structure, size)).Select(composition =>
        {
            cancellation.ThrowIfCancellationRequested();
            Stages stages = composition.Build();
            return (composition, films.Sum(film => new Prediction(film, stages).RowsSeenAsFilmed()));
        })];
        int greatest = byRows.Max(item => item.Rows);
        return new(Ranked([.. byRows.Where(item => item.Rows == greatest).GroupBy(item => item.Composition.Defects.Length).OrderBy(group => group.Key).First().Select(item => item.Composition)]), 0, (double)greatest / rows, [.. films.Select(film => film.Probe)]) { IsClaimed = false, RowsOfDefinition = (double)byRows[0].Rows / rows };
    }

    // What explains the first size, by one or two defects or, where those do not, by three.
    private IEnumerable<Composition> FirstSizeAlone()
    {
        Composition[] few = [.. Enumerable.Range(0, MostForward).SelectMany(size => suspects.Sets(suspects.Structure, size)).Where(Fits).Take(MostAlternatives)];
        return few.Length > 0 || mostForward < MostForward ? few : suspects.Sets(suspects.Structure, MostForward).Where(Fits);

        bool Fits(Composition composition) => plain.IsEmpty || Explains(composition, plain[..1]);
    }

    private IEnumerable<string> Unseen(Stages stages)
    {
        if (!films.All(film => new Prediction(film, stages).LogSumAsFilmed()))
            yield return "the logsumexp";
        if (!films.All(film => new Prediction(film, stages).GradientsAsFilmed()))
            yield return "the gradients";
    }

    // What was seen in code that people use comes before what was made up; then the order of the catalogue.
    internal static ImmutableArray<Composition> Ranked(ImmutableArray<Composition> compositions) =>
        [.. compositions.OrderBy(composition => composition.Defects.Length).ThenBy(composition => composition.Defects.Count(defect => !defect.IsSeen))];
}
