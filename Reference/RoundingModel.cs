// How does an implementation round? The numbers that a forward error bound needs to know of it.
namespace S2Attn.Reference;

/// <summary>
/// The arithmetic of an implementation: every quantity that <see cref="ErrorBound"/> and <see cref="GradientErrorBound"/> multiply. The meaning of each
/// is derived in docs/error-bounds.md.
/// </summary>
/// <param name="Name">What the model describes, for reports.</param>
/// <param name="Unit">u, the unit roundoff of products, sums and divisions.</param>
/// <param name="Underflow">Absolute error of one operation whose result is subnormal: half the smallest subnormal.</param>
/// <param name="Largest">The largest finite number of the arithmetic: where an intermediate may pass it, nothing is bounded.</param>
/// <param name="ExpError">Relative error of exp for a given argument whose result is a normal number, as a multiple of 1 (not of u).</param>
/// <param name="ExpUnderflow">Absolute error of exp where its result is below the normal range: the smallest normal number where such results are flushed to zero.</param>
/// <param name="Storage">The format of the tensors that are returned.</param>
public sealed record RoundingModel(
    string Name, double Unit, double Underflow, double Largest, double ExpError, double ExpUnderflow, StorageFormat Storage)
{
    /// <summary>Roundings of a score besides the D of its dot product: of the constant scale, of the product by it, and of the change to base 2.</summary>
    public int ScoreRoundings { get; init; } = 3;

    /// <summary>Roundings of lse = max + log sum, relative to |lse| + log n: constants and products of a change of base, log, sum, storage.</summary>
    public int LogRoundings { get; init; } = 16;

    /// <summary>Keys between two changes of the running maximum in an online softmax; 0 where the row's maximum is known before the first exp.</summary>
    public int KeyBlock { get; init; }

    /// <summary>
    /// Terms of one chain of additions in a sum over keys or queries: partial sums of so many terms are made first and then added up, each in any order.
    /// 0 where the whole sum is one chain (or any order is allowed).
    /// </summary>
    public int SumBlock { get; init; }

    /// <summary>How often intermediates (scores, weights, their gradients) pass through <see cref="Storage"/>; 0 where they stay in the arithmetic's own format.</summary>
    public int StoredScores { get; init; }

    /// <summary>Whether the normalised weights, and the gradients of the scores, are rounded to <see cref="Storage"/> before they are multiplied by v (k, q, do).</summary>
    public bool StoresWeights { get; init; }

    /// <summary>
    /// Whether the backward pass is known to take delta = do.o from the o that was returned; otherwise it may also take sum p dp from the row's weights.
    /// </summary>
    public bool Recomputes { get; init; }

    /// <summary>Arithmetic in double as <see cref="Attention"/> does it. Math.Exp is taken to be within one unit in the last place.</summary>
    public static RoundingModel Double { get; } = new("double", StorageFormat.Binary64.Unit, double.Epsilon, double.MaxValue, 2 * StorageFormat.Binary64.Unit, double.Epsilon, StorageFormat.Binary64);

    /// <summary>
    /// Any sane implementation whose tensors have this format: sums of any order in binary32 (binary64 for binary64 tensors), exp within 4 units in the
    /// last place, subnormals kept or flushed, and scores, weights and their gradients stored in the tensors' format as a composition of whole-tensor operations
    /// stores them (score, scaled score, masked score, weight).
    /// </summary>
    public static RoundingModel Composition(StorageFormat storage) =>
        Composition(storage, storage == StorageFormat.Binary64 ? storage : StorageFormat.Binary32);

    /// <summary>The same where the sums and exp are known to run in another format.</summary>
    public static RoundingModel Composition(StorageFormat storage, StorageFormat sums)
    {
        ArgumentNullException.ThrowIfNull(storage);
        ArgumentNullException.ThrowIfNull(sums);
        double smallestNormal = sums == StorageFormat.Binary64 ? Math.ScaleB(1, -1022) : Math.ScaleB(1, -126);
        return new($"composition in {storage.Name}, sums in {sums.Name}", sums.Unit, smallestNormal, sums.Largest, 8 * sums.Unit, smallestNormal, storage)
        {
            KeyBlock = 16,
            StoredScores = 3,
            StoresWeights = true,
        };
    }

    /// <summary>gamma_n = n u / (1 - n u), the bound of a product of n factors 1 + delta (Higham, Lemma 3.1); infinite where n u reaches 1.</summary>
    public double Gamma(double roundings) => Gamma(roundings, Unit);

    /// <summary>The longest chain of additions that a term of a sum of n terms passes.</summary>
    public double Chain(double terms) => SumBlock == 0 || terms <= SumBlock ? terms : SumBlock + Math.Ceiling(terms / SumBlock);

    /// <summary>
    /// How often the accumulators of a row are rescaled, at most: once for a block with a visible key, and blocks tile the row's key segments, padded keys
    /// included; each segment ends in a short block.
    /// </summary>
    /// <param name="visible">Keys that the row sees.</param>
    /// <param name="span">Keys that it would see if none were padded.</param>
    /// <param name="segments">Segments into which these fall: two, and one more where there is a prefix.</param>
    public double Rescalings(int visible, int span, int segments) => KeyBlock == 0 ? 0 : Math.Min(visible, span / KeyBlock + segments) - 1;

    /// <summary>
    /// What a bound is multiplied by to cover the rounding of <see cref="Attention"/> and of the bound's own evaluation: nothing to speak of, unless the
    /// arithmetic is as wide as Reference's own, which then may err as much again.
    /// </summary>
    internal double CoverReference => Unit > StorageFormat.Binary64.Unit ? 1 + 1e-6 : 2 + 1e-6;

    internal static double Gamma(double roundings, double unit) => roundings * unit < 1 ? roundings * unit / (1 - roundings * unit) : double.PositiveInfinity;
}

/// <summary>A format in which tensors are stored.</summary>
/// <param name="Name">Its IEEE 754 name, or bfloat16.</param>
/// <param name="Unit">Unit roundoff, half the distance from 1 to the next number.</param>
/// <param name="Underflow">Half the smallest subnormal number.</param>
/// <param name="Largest">The largest finite number.</param>
public sealed record StorageFormat(string Name, double Unit, double Underflow, double Largest)
{
    /// <summary>float.</summary>
    public static StorageFormat Binary32 { get; } = new("binary32", Math.ScaleB(1, -24), Math.ScaleB(1, -150), float.MaxValue);

    /// <summary>double.</summary>
    public static StorageFormat Binary64 { get; } = new("binary64", Math.ScaleB(1, -53), double.Epsilon, double.MaxValue);

    /// <summary>Half.</summary>
    public static StorageFormat Binary16 { get; } = new("binary16", Math.ScaleB(1, -11), Math.ScaleB(1, -25), 65504);

    /// <summary>The upper half of binary32.</summary>
    public static StorageFormat BFloat16 { get; } = new("bfloat16", Math.ScaleB(1, -8), Math.ScaleB(1, -134), Math.ScaleB(2 - Math.ScaleB(1, -7), 127));
}
