// What is done to a panel of scores: masking, softmax, and products that must not touch masked pairs.
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using S2Attn.Spec;

namespace S2Attn.Optimized.Kernels;

/// <summary>
/// The visible part of a panel of queries against a tile of keys. Scores stand transposed, one row of queries for each key, so that everything that
/// softmax does to a query is done lane by lane.
/// </summary>
internal readonly struct PanelMask
{
    /// <summary>Key row j is visible to lane i exactly where j &lt;= i + Offset; rows from Rows on are visible to no lane.</summary>
    public readonly int Offset;

    /// <summary>Key rows that some query of the panel sees.</summary>
    public readonly int Rows;

    /// <summary>First row that some query of the panel does not see; Rows where every pair is visible.</summary>
    public readonly int FirstMasked;

    /// <summary>Lanes that hold a query.</summary>
    public readonly int Queries;

    public PanelMask(bool causal, int firstQuery, int queries, int firstKey, int keys)
    {
        Queries = queries;
        switch (Tiles.Classify(causal, firstQuery, queries, firstKey, keys))
        {
            case TileKind.Full:
                Rows = FirstMasked = keys;
                break;
            case TileKind.Partial:
                Offset = firstQuery - firstKey;
                Rows = Math.Min(keys, Offset + queries);
                FirstMasked = Math.Clamp(Offset + 1, 0, Rows);
                break;
        }
    }

    public bool IsEmpty => Rows == 0;

    public bool IsPartial => FirstMasked < Rows;

    /// <summary>How many key rows lane i sees.</summary>
    public int SeenBy(int i) => IsPartial ? Math.Clamp(i + Offset + 1, 0, Rows) : Rows;

    /// <summary>Whether lane i sees key row j.</summary>
    public bool Sees(int i, int j) => j < FirstMasked || j <= i + Offset;
}

/// <summary>Loops over panels. A panel is two registers wide and has a row stride of its own.</summary>
internal static unsafe class Panel<V, TLanes>
    where V : struct
    where TLanes : struct, ILanes<V>
{
    /// <summary>Overwrites the invisible entries of rows [0, mask.Rows) with a value; padded keys are invisible to every lane.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Mask(Pointer<float> panel, nint stride, PanelMask mask, Pointer<byte> valid, float value)
    {
        int lanes = TLanes.Count;
        V replacement = TLanes.Broadcast(value), indices = TLanes.Indices;
        for (int j = mask.FirstMasked; j < mask.Rows; j++)
        {
            Pointer<float> row = panel + j * stride;
            V limit = TLanes.Broadcast(j - mask.Offset);
            V limitOfUpper = TLanes.Broadcast(j - mask.Offset - lanes);
            TLanes.Store(TLanes.SelectLess(indices, limit, replacement, TLanes.Load(row)), row);
            TLanes.Store(TLanes.SelectLess(indices, limitOfUpper, replacement, TLanes.Load(row + lanes)), row + lanes);
        }

        if (!valid.IsNull)
            for (int j = 0; j < mask.Rows; j++)
                if (valid[j] == 0)
                {
                    TLanes.Store(replacement, panel + j * stride);
                    TLanes.Store(replacement, panel + j * stride + lanes);
                }
    }

    /// <summary>
    /// One step of online softmax in base 2. Scores become 2^(score - max), max and sum are brought up to date, and the factor by which what was accumulated
    /// before must shrink is stored; whether any lane of it is not 1 is returned.
    /// </summary>
    /// <param name="scores">The panel.</param>
    /// <param name="rowsOfBoth">Rows of which both registers are visible to some query; of the others the upper one alone.</param>
    /// <param name="rows">Rows.</param>
    /// <param name="max">Greatest score so far.</param>
    /// <param name="sum">Sum of the weights so far.</param>
    /// <param name="factor">The factors.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static bool SoftmaxStep(Pointer<float> scores, int rowsOfBoth, int rows, Pointer<float> max, Pointer<float> sum, Pointer<float> factor)
    {
        bool shrinks = SoftmaxHalf(scores, rowsOfBoth, max, sum, factor);
        return SoftmaxHalf(scores + TLanes.Count, rows, max + TLanes.Count, sum + TLanes.Count, factor + TLanes.Count) | shrinks;
    }

    /// <summary>The same for a panel whose queries fill the lower register alone, or for one register of another.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static bool SoftmaxHalf(Pointer<float> scores, int rows, Pointer<float> max, Pointer<float> sum, Pointer<float> factor)
    {
        nint stride = 2 * TLanes.Count;
        V before = TLanes.Load(max);
        V m0 = before, m1 = before, m2 = before, m3 = before;
        Pointer<float> row = scores;
        int j = 0;
        for (; j + 4 <= rows; j += 4, row += 4 * stride)
        {
            m0 = TLanes.Max(m0, TLanes.Load(row));
            m1 = TLanes.Max(m1, TLanes.Load(row + stride));
            m2 = TLanes.Max(m2, TLanes.Load(row + 2 * stride));
            m3 = TLanes.Max(m3, TLanes.Load(row + 3 * stride));
        }

        for (; j < rows; j++, row += stride)
            m0 = TLanes.Max(m0, TLanes.Load(row));
        V after = TLanes.Max(TLanes.Max(m0, m1), TLanes.Max(m2, m3));

        // A lane that has seen no score above -infinity keeps that maximum, but is shifted by 0: -infinity minus itself would be NaN.
        V shift = TLanes.SelectLess(after, TLanes.Broadcast(float.MinValue), TLanes.Broadcast(0), after);
        V shrink = Exponential.PowerOfTwo<V, TLanes>(TLanes.Subtract(before, shift));
        V s0 = TLanes.Broadcast(0), s1 = s0;
        row = scores;
        for (j = 0; j + 2 <= rows; j += 2, row += 2 * stride)
        {
            V p0 = Exponential.PowerOfTwo<V, TLanes>(TLanes.Subtract(TLanes.Load(row), shift));
            V p1 = Exponential.PowerOfTwo<V, TLanes>(TLanes.Subtract(TLanes.Load(row + stride), shift));
            TLanes.Store(p0, row);
            TLanes.Store(p1, row + stride);
            s0 = TLanes.Add(s0, p0);
            s1 = TLanes.Add(s1, p1);
        }

        if (j < rows)
        {
            V p0 = Exponential.PowerOfTwo<V, TLanes>(TLanes.Subtract(TLanes.Load(row), shift));
            TLanes.Store(p0, row);
            s0 = TLanes.Add(s0, p0);
        }

        TLanes.Store(after, max);
        TLanes.Store(shrink, factor);
        TLanes.Store(TLanes.MultiplyAdd(TLanes.Load(sum), shrink, TLanes.Add(s0, s1)), sum);
        return !TLanes.EqualsAll(before, after);
    }

    /// <summary>Multiplies each row of a panel by the same factors: of two registers, or of the lower one alone, as what stands in the upper one of a half panel may be subnormal and slow.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Scale(Pointer<float> panel, int rows, Pointer<float> factor, bool isHalf)
    {
        V f0 = TLanes.Load(factor), f1 = TLanes.Load(factor + TLanes.Count);
        for (int d = 0; d < rows; d++, panel += 2 * TLanes.Count)
        {
            TLanes.Store(TLanes.Multiply(TLanes.Load(panel), f0), panel);
            if (isHalf)
                continue;
            TLanes.Store(TLanes.Multiply(TLanes.Load(panel + TLanes.Count), f1), panel + TLanes.Count);
        }
    }

    /// <summary>
    /// The backward step: scores become weights p = 2^(score - logsumexp), and gradients of weights become gradients of scores, p (dp - delta). Of a half panel the lower register alone.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void SoftmaxGradient(Pointer<float> scores, Pointer<float> gradients, nint stride, int rows, Pointer<float> logSumExp, Pointer<float> delta, bool isHalf)
    {
        int lanes = TLanes.Count;
        V l0 = TLanes.Load(logSumExp), l1 = TLanes.Load(logSumExp + lanes), d0 = TLanes.Load(delta), d1 = TLanes.Load(delta + lanes);
        for (int j = 0; isHalf && j < rows; j++, scores += stride, gradients += stride)
        {
            V p0 = Exponential.PowerOfTwo<V, TLanes>(TLanes.Subtract(TLanes.Load(scores), l0));
            TLanes.Store(p0, scores);
            TLanes.Store(TLanes.Multiply(p0, TLanes.Subtract(TLanes.Load(gradients), d0)), gradients);
        }

        for (int j = 0; !isHalf && j < rows; j++, scores += stride, gradients += stride)
        {
            V p0 = Exponential.PowerOfTwo<V, TLanes>(TLanes.Subtract(TLanes.Load(scores), l0));
            V p1 = Exponential.PowerOfTwo<V, TLanes>(TLanes.Subtract(TLanes.Load(scores + lanes), l1));
            TLanes.Store(p0, scores);
            TLanes.Store(p1, scores + lanes);
            TLanes.Store(TLanes.Multiply(p0, TLanes.Subtract(TLanes.Load(gradients), d0)), gradients);
            TLanes.Store(TLanes.Multiply(p1, TLanes.Subtract(TLanes.Load(gradients + lanes), d1)), gradients + lanes);
        }
    }

    /// <summary>
    /// What the softmax of a panel ends with: 1 / l, or 0 where a query sees nothing, and lse = (m + log2 l) ln 2, in double and rounded once. Four queries at a time, up to three more than there are.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Finish(Pointer<float> max, Pointer<float> sum, int queries, Pointer<float> inverse, Pointer<float> logSumExp)
    {
        for (int i = 0; i < queries; i += 4)
        {
            Vector128<float> m = Vector128.Load((max + i).For(4)), l = Vector128.Load((sum + i).For(4));
            Vector128.ConditionalSelect(Vector128.Equals(l, Vector128<float>.Zero), Vector128<float>.Zero, Vector128<float>.One / l).Store((inverse + i).For(4));
            Vector256<double> log = Logarithm.Base2(Vector256.Create(Vector128.WidenLower(l), Vector128.WidenUpper(l)));
            Vector256<double> lse = (Vector256.Create(Vector128.WidenLower(m), Vector128.WidenUpper(m)) + log) * Vector256.Create(Math.Log(2));
            Vector128.Narrow(lse.GetLower(), lse.GetUpper()).Store((logSumExp + i).For(4));
        }
    }

    /// <summary>Multiplies a multiple of the lanes by one factor.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Multiply(Pointer<float> row, int count, float factor)
    {
        V f = TLanes.Broadcast(factor);
        for (int i = 0; i < count; i += TLanes.Count)
            TLanes.Store(TLanes.Multiply(TLanes.Load(row + i), f), row + i);
    }

    /// <summary>target[i] += factor source[i].</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Add(Pointer<float> source, float factor, Pointer<float> target, int count)
    {
        V f = TLanes.Broadcast(factor);
        int i = 0;
        for (; i + TLanes.Count <= count; i += TLanes.Count)
            TLanes.Store(TLanes.MultiplyAdd(TLanes.Load(source + i), f, TLanes.Load(target + i)), target + i);
        for (; i < count; i++)
            target[i] = float.MultiplyAddEstimate(source[i], factor, target[i]);
    }

    /// <summary>The sum of a[i] b[i] over a multiple of the lanes.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static float Dot(Pointer<float> a, Pointer<float> b, int count)
    {
        V sum = TLanes.Broadcast(0);
        for (int i = 0; i < count; i += TLanes.Count)
            sum = TLanes.MultiplyAdd(TLanes.Load(a + i), TLanes.Load(b + i), sum);
        float* memory = stackalloc float[TLanes.Count];
        Pointer<float> lanes = new(memory, TLanes.Count);
        TLanes.Store(sum, lanes);
        float total = 0;
        for (int i = 0; i < TLanes.Count; i++)
            total += lanes[i];
        return total;
    }

    /// <summary>Fills a vector of two registers.</summary>
    public static void Fill(Pointer<float> vector, float value)
    {
        TLanes.Store(TLanes.Broadcast(value), vector);
        TLanes.Store(TLanes.Broadcast(value), vector + TLanes.Count);
    }
}
