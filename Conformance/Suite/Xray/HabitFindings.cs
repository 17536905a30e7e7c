// Which numerical habits does a port have beside its structure?
using System.Collections.Immutable;
using System.Globalization;
using S2Attn.Conformance.Ports;
using S2Attn.Reference;
using S2Attn.Reference.Upstream;
using S2Attn.Spec;

namespace S2Attn.Conformance.Xray;

/// <summary>A finding beside the structure.</summary>
/// <param name="Names">The names of <see cref="NumericalHabit"/> that it may be.</param>
/// <param name="Clause">What is so, to be joined to a sentence by "and".</param>
/// <param name="Fix">What the author may change; empty where nothing needs to be.</param>
public sealed record HabitFinding(ImmutableArray<string> Names, string Clause, string Fix)
{
    /// <summary>Whether only level 6 speaks against it: hidden NaN spreads, as it does in all code that adds its mask.</summary>
    public bool IsIsolation { get; init; }

    /// <summary>What the port does, where no stage can be told before it is changed; else empty.</summary>
    public string Lead { get; init; } = "";
}

internal static class HabitFindings
{
    public static ImmutableArray<HabitFinding> Of(ImmutableArray<XrayFilm> films, Explanation explanation)
    {
        Stages stages = explanation.Composition.Build();
        ImmutableArray<(XrayFilm Film, Prediction Prediction)> explained = explanation.Rows < 1 ? [] :
            [.. films.Where(film => !explanation.Unexplained.Contains(film.Probe)).Select(film => (film, new Prediction(film, stages)))];
        return [.. Constant(films), .. Narrower(films), .. Elements(films), .. Normalised(films), .. KeptShift(films, explanation), .. Nan(explained), .. Overflow(films), .. Underflow(films), .. Great(explained), .. Precision(explained), .. Rounded(explained), .. Narrow(explained), .. FromCallToCall(films)];
    }

    /// <summary>Whether a port does something that has to be changed before its stages can be told.</summary>
    public static bool Lead(ImmutableArray<XrayFilm> films) => Constant(films).Concat(Narrower(films)).Concat(Elements(films)).Concat(Normalised(films)).Concat(Remembers(films)).Any();

    // By rounding, because sums are made in another order; by more, because something is read that this call did not write.
    private static IEnumerable<HabitFinding> FromCallToCall(ImmutableArray<XrayFilm> films) => Remembers(films).Any() ? Remembers(films) :
    [
        .. films.All(film => film.Repeats) ? Array.Empty<HabitFinding>() : [Known("nondeterministic", "the same call, put twice in a row, gives other bits")],
        .. films.Any(film => film.Stale.Contains(true))
            ? [Known("stale-empty-rows", "rows that see no key hold what the call before left there")]
            : films.All(film => film.Forgets) ? Array.Empty<HabitFinding>()
            : [new([], "the answer to a call depends on the calls before it", "Keep no state between calls.")],
    ];

    private static IEnumerable<HabitFinding> Remembers(ImmutableArray<XrayFilm> films) => films.All(film => film.RepeatsNearly) ? [] :
    [
        new(
            [],
            "the same call, put twice in a row, gives other answers, by more than rounding",
            "Read only what this call wrote: look for a buffer or cache that is kept and read further than it was filled (whole pages, whole tiles), for memory that nobody filled, and for threads that write one row.")
        { Lead = "answers by what was asked before" },
    ];

    private static HabitFinding Known(string name, string clause) => new([name], clause, NumericalHabit.All.Single(habit => habit.Name == name).Fix);

    private static IEnumerable<HabitFinding> Nan(ImmutableArray<(XrayFilm Film, Prediction Prediction)> explained)
    {
        bool keys = explained.Any(item => Spreads(item.Film, item.Prediction, Operand.Key)), values = explained.Any(item => Spreads(item.Film, item.Prediction, Operand.Value));
        if (!keys && !values)
            yield break;
        string where = keys && values ? "keys and values spreads through scores and values, because the mask is added" : keys ? "keys spreads through the scores, because the mask is added" : "values spreads, because they are multiplied by 0";
        yield return new(
            values && !keys ? ["masked-nan-spreads"] : ["mask-is-added"],
            $"NaN in hidden {where}; harmless unless padding or an unused buffer holds NaN",
            keys ? NumericalHabit.All.Single(habit => habit.Name == "mask-is-added").Fix : NumericalHabit.All.Single(habit => habit.Name == "masked-nan-spreads").Fix)
        { IsIsolation = true };
    }

    // Whether a row that reads nothing of the poisoned token became NaN.
    private static bool Spreads(XrayFilm film, Prediction prediction, Operand operand)
    {
        XrayProbe probe = film.Probe;
        return film.Poisoned.Where(item => item.Operand == operand).Any(item => Enumerable.Range(0, probe.Rows).Any(row =>
            IsNaN(item.Output, row, probe.Config.HeadDim)
            && !IsNaN(film.Equal, row, probe.Sources)
            && !prediction.Reads(probe.RowAt(row)).Keys.Any(key => operand is Operand.Key ? key.Key.Token == probe.PoisonedToken : key.Value is { } value && value.Token == probe.PoisonedToken)));
    }

    private static bool IsNaN(Tensor<double> tensor, int row, int width)
    {
        foreach (double value in tensor.Elements.Slice(row * width, width))
            if (!double.IsFinite(value))
                return true;
        return false;
    }

    private static IEnumerable<HabitFinding> Overflow(ImmutableArray<XrayFilm> films) =>
        films.Any(film => film.Large.Any(output => Enumerable.Range(0, film.Probe.Rows).Any(row =>
            IsNaN(output, row, film.Probe.Config.HeadDim) && !IsNaN(film.Equal, row, film.Probe.Sources))))
            ? [Known("softmax-without-max", "large scores overflow: the greatest is not subtracted before exp")]
            : [];

    // Without the greatest score subtracted great scores overflow as well; a maximum that begins at 0 shows in those below it alone. Some code answers 0 where it would divide by 0.
    private static IEnumerable<HabitFinding> Underflow(ImmutableArray<XrayFilm> films) =>
        !Overflow(films).Any() && films.Any(film => film.FarBelow.Any(output => Enumerable.Range(0, film.Probe.Rows).Any(row => IsLost(film, output, row))))
            ? [Known("maximum-begins-at-zero", "rows all of whose scores are far below 0 are NaN or 0: the greatest score is looked for from 0 upwards")]
            : [];

    private static bool IsLost(XrayFilm film, Tensor<double> output, int row)
    {
        int dim = film.Probe.Config.HeadDim;
        if (IsNaN(film.Equal, row, film.Probe.Sources))
            return false;

        // Keys of zeros, or a mask behind the softmax, take the rest of the weight: of scores far below 0 all of it, and nothing is lost.
        double whole = 0;
        foreach (double weight in film.Equal.Elements.Slice(row * film.Probe.Sources, film.Probe.Sources))
            whole += weight;
        if (Math.Abs(whole - 1) > Off)
            return false;

        // Where one question shows all values: a hidden key that a mask only lowers may weigh more than those that are seen.
        return IsNaN(output, row, dim) || film.Probe.Sources <= dim && !output.Elements.Slice(row * dim, dim).ContainsAnyExcept(0);
    }

    // v is one-hot, so o of any attention holds a 0 or is 1 / count; the same number everywhere is none of that.
    private static IEnumerable<HabitFinding> Constant(ImmutableArray<XrayFilm> films)
    {
        double first = films[0].Equal.Elements[0];
        foreach (XrayFilm film in films)
            if (film.Probe.Sources == 1 || film.Equal.Elements.ContainsAnyExcept(first) || film.Scores.Any(weights => weights.Elements.ContainsAnyExcept(first)))
                yield break;
        yield return new(
            [],
            string.Create(CultureInfo.InvariantCulture, $"every element of o is {first:G6} at every size that was looked at"),
            "Return softmax(scale q k^T) v: look whether what is computed is what is returned.")
        { Lead = "returns one number whatever q, k and v are" };
    }

    // All score questions are put in dimension 0 of q and k. Values of other dimensions that never react belong to another, narrower head.
    private static IEnumerable<HabitFinding> Narrower(ImmutableArray<XrayFilm> films)
    {
        foreach (XrayFilm film in films.Where(film => film.LateScores.Length > 0 && film.Probe.ShowsScores && film.Probe.Sources >= film.Probe.Config.HeadDim))
        {
            int dim = film.Probe.Config.HeadDim;
            bool[] reacts = new bool[dim], seen = new bool[dim];
            int sources = film.Probe.Sources;
            ReadOnlySpan<double> equal = film.Equal.Elements;
            for (int i = 0; i < equal.Length; i++)
                seen[i % sources % dim] |= VisibilityMap.IsSomething(equal[i]);
            foreach (Tensor<double> tensor in film.Scores)
            {
                ReadOnlySpan<double> weights = tensor.Elements;
                for (int i = 0; i < weights.Length; i++)
                    if (Math.Abs(weights[i] - equal[i]) > 0.01 * equal[i] + 1e-6)
                        reacts[i % sources % dim] = true;
            }

            // A dimension whose values no row sees tells nothing.
            int width = Array.IndexOf(reacts, false);
            if (width > 0 && !seen.Contains(false) && dim % width == 0 && reacts.Take(width).All(reaction => reaction) && !reacts.Skip(width).Contains(true))
            {
                yield return new(
                    [],
                    string.Create(CultureInfo.InvariantCulture, $"a head of width {dim} is attended to as {dim / width} heads of width {width}: dimension 0 of q and k does not weigh dimensions {width}..{dim - 1} of v"),
                    "Reshape q, k and v to as many heads as there are, each of its whole width: check the number of heads in the view or rearrange before the attention.")
                { Lead = "has another head size than it is asked for" };
                yield break;
            }
        }
    }

    // Each question doubles half of the rows of q. Where all rows of all sizes answer as much, q enters by its direction alone.
    private static IEnumerable<HabitFinding> Normalised(ImmutableArray<XrayFilm> films)
    {
        const int EnoughSpans = 32, EnoughKeys = 4;
        const double Flat = 0.05, Alike = 1.1;
        double least = double.PositiveInfinity, greatest = 0;
        int spans = 0, asked = 0;

        // Where the codes of q are not looked at, q is the same in every row.
        foreach (XrayFilm film in films.Where(film => film.Probe.ShowsScores))
        {
            int sources = film.Probe.Sources;
            double[] equal = film.Equal.Elements.ToArray();
            foreach (double[] weights in film.LateScores.Select(late => late.Value.Elements.ToArray()))
                for (int row = 0; row < film.Probe.Rows; row++)
                {
                    int first = row * sources;
                    double[] logs = [.. Enumerable.Range(first, sources).Where(i => VisibilityMap.IsSomething(equal[i])).Select(i => Math.Log(weights[i] / equal[i]))];
                    if (logs.Length < EnoughKeys)
                        continue;
                    asked++;
                    double span = logs.Max() - logs.Min();
                    if (!(span > Flat) || !double.IsFinite(span))
                        continue;
                    (least, greatest, spans) = (Math.Min(least, span), Math.Max(greatest, span), spans + 1);
                    if (greatest > Alike * least)
                        yield break;
                }
        }

        // Of four keys one question in eight scores all or none; more flat ones are of rows whose query is something else.
        if (spans >= EnoughSpans && 4 * spans >= 3 * asked)
            yield return new(
                [],
                string.Create(CultureInfo.InvariantCulture, $"scores do not grow with q, they differ by {greatest:G3} whatever the length of q is, as those of a cosine similarity do, or of q and k behind a norm"),
                "Multiply q.k as they are given, by the scale: normalise q and k before the call, outside of what is tested, or leave it.")
            { Lead = "normalises q and k before it multiplies them" };
    }

    // A product of q and k is the same in whichever element they stand. Of a port that gives another answer to the same question it says nothing that it does to another one.
    private static IEnumerable<HabitFinding> Elements(ImmutableArray<XrayFilm> films) => films.All(film => film.ElementsAreAlike) || Narrower(films).Any() || Remembers(films).Any() ? [] :
    [
        new(
            [],
            "the same scores give another o where they stand in the last element of q and k instead of the first",
            "Keep the elements of a vector together: np.roll and torch.roll without an axis roll the flattened tensor, a split or chunk along the last axis halves vectors where heads were meant, a reshape may cut them, and a rotation belongs before the attention.")
        { Lead = "does not take the elements of a vector alike" },
    ];

    // Said where each wrong shift that was measured is that of an earlier question about as many tokens: one that is fixed has a name, and another rule that asks nothing of S keeps nothing.
    private static IEnumerable<HabitFinding> KeptShift(ImmutableArray<XrayFilm> films, Explanation explanation)
    {
        if (!explanation.HasMeasuredShift)
            yield break;
        Stages stages = explanation.Composition.Build();
        (XrayFilm Film, int Shift)[] other = [.. films.Select(film => (film, ShiftOf(film.Probe.Config, stages))).Where(item => item.Item2 > 0 && item.Item2 != item.film.Probe.Config.Shift)];
        if (other.Length > 0 && other.All(item => item.Film.KeepsItsShift && films.TakeWhile(film => film != item.Film).Any(film => film.Probe.Config is var earlier && earlier.Tokens == item.Film.Probe.Config.Tokens && earlier.Shift == item.Shift)))
            yield return new(
                [],
                "the same sizes get the same answer whatever the shift, as if a mask or map were kept from an earlier call",
                "Keep no mask between calls, or keep it by all that it depends on: N, G, S and which heads shift.")
            { Lead = "answers with the shift of an earlier call" };
    }

    // 0 where no head shifts.
    private static int ShiftOf(S2Config config, Stages stages) => Enumerable.Range(0, config.Heads).Where(head => stages.Shifts(config, head)).Select(head => stages.Amount(config, head)).FirstOrDefault();

    // Great scores that weigh as smaller ones would, where small ones are right: those of hidden keys, because the mask only lowers them, or those of seen ones, because they are capped.
    private static IEnumerable<HabitFinding> Great(ImmutableArray<(XrayFilm Film, Prediction Prediction)> explained)
    {
        bool capped = false;
        foreach ((XrayFilm film, Prediction prediction) in explained)
        {
            double[] own = prediction.WeightsOf((_, source) => film.Probe.LargeProduct(source));
            foreach (Tensor<double> output in film.Large.Where(output => !output.Elements.ToArray().Any(value => !double.IsFinite(value))))
            {
                if (LoweredBy(film, own, output) is { } lowering)
                    return [Lowers(lowering)];
                capped |= Shown(film.Probe).Any(at => Math.Abs(Given(film.Probe, output, at) - own[at.Row * film.Probe.Sources + at.Source]) > Off);
            }
        }

        return capped ? [Known("scores-capped", "great scores weigh less than they should, as if they were capped")] : [];
    }

    private static HabitFinding Lowers(double lowering)
    {
        NumericalHabit known = NumericalHabit.All.Single(habit => habit.Arithmetic(ElementType.F32).Lowering is not null);
        return new(
            Math.Abs(lowering - 100) < 1 ? [known.Name] : [],
            string.Create(CultureInfo.InvariantCulture, $"a hidden key is seen where its score is great enough: the mask takes only about {lowering:0} from it"),
            known.Fix);
    }

    // From the weights of a hidden key and a seen one in one row.
    private static double? LoweredBy(XrayFilm film, double[] own, Tensor<double> output)
    {
        XrayProbe probe = film.Probe;
        foreach ((int row, int source) in Shown(probe).Where(at => own[at.Row * probe.Sources + at.Source] == 0 && !VisibilityMap.IsSomething(film.Equal[at.Row, at.Source]) && Given(probe, output, at) > Off))
            foreach ((int _, int seen) in Shown(probe).Where(at => at.Row == row && own[row * probe.Sources + at.Source] > 0 && Given(probe, output, at) > 1e-30))
                return probe.Config.Scale * (probe.LargeProduct(source) - probe.LargeProduct(seen)) - Math.Log(Given(probe, output, (row, source)) / Given(probe, output, (row, seen)));
        return null;
    }

    private const double Off = 0.02;

    // v is one-hot for the first D of its rows.
    private static IEnumerable<(int Row, int Source)> Shown(XrayProbe probe) =>
        from row in Enumerable.Range(0, probe.Rows)
        from source in Enumerable.Range(0, Math.Min(probe.Config.HeadDim, probe.Sources))
        select (row, source);

    private static double Given(XrayProbe probe, Tensor<double> output, (int Row, int Source) at) => output.Elements[at.Row * probe.Config.HeadDim + at.Source];

    // In f64, weights that are right to f32 and no further.
    private static IEnumerable<HabitFinding> Narrow(ImmutableArray<(XrayFilm Film, Prediction Prediction)> explained)
    {
        double worst = 0;
        foreach ((XrayFilm film, Prediction prediction) in explained)
        {
            double[] exact = prediction.WeightsOf(-1);
            int dim = film.Probe.Config.HeadDim, sources = film.Probe.Sources;
            foreach (Tensor<double> wide in film.Wide)
                for (int row = 0; row < film.Probe.Rows; row++)
                    for (int source = 0; source < Math.Min(dim, sources); source++)
                        if (exact[row * sources + source] is var weight && double.IsFinite(weight) && weight > 1e-3)
                            worst = Math.Max(worst, Math.Abs(wide.Elements[row * dim + source] - weight) / weight);
        }

        if (worst > 1e-11 && worst < 1e-5)
            yield return Known("f64-computed-in-f32", "f64 is computed, at least its softmax, in f32");
    }

    // The mean of numbers that are all 1 + 2^-12: in binary16 and bfloat16 they are 1 already.
    private static IEnumerable<HabitFinding> Rounded(ImmutableArray<(XrayFilm Film, Prediction Prediction)> explained) =>
        !Precision(explained).Any() && explained.SelectMany(item => item.Film.Fine.SelectMany(output => output.Elements.ToArray().Where(value => Math.Abs(value - 1) < 0.5))).ToArray() is { Length: > 0 } given
            && given.All(value => Math.Abs(value - 1) < XrayProbe.FineStep / 8)
            ? [Known("inputs-in-half", "q, k and v are rounded to 16 bits before anything is computed, though f32 or f64 is claimed")]
            : [];

    // Weights that are off by more than the format's rounding, and by no more than a narrower format's.
    private static IEnumerable<HabitFinding> Precision(ImmutableArray<(XrayFilm Film, Prediction Prediction)> explained)
    {
        bool off = false, half = true, brain = true;
        foreach ((XrayFilm film, Prediction prediction) in explained.Where(item => item.Film.Probe.ElementType is ElementType.F32 or ElementType.F64))
        {
            double[] exact = prediction.WeightsOf(-1);
            for (int i = 0; i < exact.Length; i++)
            {
                double given = film.Equal.Elements[i], unit = ElementType.F32.UnitRoundoff();
                if (!double.IsFinite(exact[i]) || exact[i] < 1e-3)
                    continue;
                off |= Math.Abs(given - exact[i]) > 256 * unit * exact[i];
                half &= Math.Abs((double)(Half)exact[i] - given) <= 16 * unit;
                brain &= Math.Abs(ElementType.BF16.Round(exact[i]) - given) <= 16 * unit;
            }
        }

        if (off)
            yield return half ? Known("accumulates-in-f16", "o is summed up, or kept, in binary16")
                : brain ? Known("weights-in-bf16", "weights are rounded to bfloat16")
                : new([], "weights are less precise than the format", "Keep weights and sums in f32 at least.");
    }
}
