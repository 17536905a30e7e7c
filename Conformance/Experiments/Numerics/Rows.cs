// What is done to the elements and rows between two products: norms, activations, sums, softmax?
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace S2Attn.Experiments.Numerics;

/// <summary>Elementwise steps and their gradients, eight lanes at a time whatever the processor has, in one order of additions. Lengths are multiples of 8.</summary>
internal static class Rows
{
    public const int Lanes = 8;

    private const float NormEpsilon = 1e-5f;

    /// <summary>y += x.</summary>
    public static void Add(ReadOnlySpan<float> x, Span<float> y)
    {
        for (int i = 0; i < x.Length; i += Lanes)
            (Load(y, i) + Load(x, i)).CopyTo(y[i..]);
    }

    /// <summary>y = max(x, 0)².</summary>
    public static void SquaredRelu(ReadOnlySpan<float> x, Span<float> y)
    {
        for (int i = 0; i < x.Length; i += Lanes)
        {
            Vector256<float> positive = Vector256.Max(Load(x, i), default);
            (positive * positive).CopyTo(y[i..]);
        }
    }

    /// <summary>dy becomes dx = 2 max(x, 0) dy.</summary>
    public static void SquaredReluBackward(ReadOnlySpan<float> x, Span<float> dy)
    {
        for (int i = 0; i < x.Length; i += Lanes)
        {
            Vector256<float> positive = Vector256.Max(Load(x, i), default);
            ((positive + positive) * Load(dy, i)).CopyTo(dy[i..]);
        }
    }

    /// <summary>RMSNorm (arXiv 1910.07467): y = x g / sqrt(mean(x²) + 1e-5) for each row of <paramref name="gain"/>'s length; the factor is kept in <paramref name="inverse"/>.</summary>
    public static void Norm(ReadOnlySpan<float> x, ReadOnlySpan<float> gain, Span<float> y, Span<float> inverse)
    {
        int width = gain.Length;
        for (int row = 0; row < inverse.Length; row++)
        {
            ReadOnlySpan<float> from = x.Slice(row * width, width);
            Span<float> to = y.Slice(row * width, width);
            Vector256<float> squares = default;
            for (int i = 0; i < width; i += Lanes)
                squares = Vector256.FusedMultiplyAdd(Load(from, i), Load(from, i), squares);
            float factor = 1 / MathF.Sqrt(Sum(squares) / width + NormEpsilon);
            inverse[row] = factor;
            for (int i = 0; i < width; i += Lanes)
                (Load(from, i) * factor * Load(gain, i)).CopyTo(to[i..]);
        }
    }

    /// <summary>dx += g dy r - x r³ mean(g dy x) and dg += dy x r, with r the factor of the row.</summary>
    public static void NormBackward(ReadOnlySpan<float> dy, ReadOnlySpan<float> x, ReadOnlySpan<float> gain, ReadOnlySpan<float> inverse, Span<float> dx, Span<float> dgain)
    {
        int width = gain.Length;
        for (int row = 0; row < inverse.Length; row++)
        {
            ReadOnlySpan<float> from = x.Slice(row * width, width), gradient = dy.Slice(row * width, width);
            Span<float> to = dx.Slice(row * width, width);
            float factor = inverse[row];
            Vector256<float> products = default;
            for (int i = 0; i < width; i += Lanes)
            {
                Vector256<float> along = Load(gradient, i) * Load(from, i);
                products = Vector256.FusedMultiplyAdd(along, Load(gain, i), products);
                Vector256.FusedMultiplyAdd(along, Vector256.Create(factor), Load(dgain, i)).CopyTo(dgain[i..]);
            }

            float back = Sum(products) / width * factor * factor * factor;
            for (int i = 0; i < width; i += Lanes)
                (Load(to, i) + (Load(gradient, i) * Load(gain, i) * factor - Load(from, i) * back)).CopyTo(to[i..]);
        }
    }

    /// <summary>Logits become (softmax - the unit vector of the target) weight, the gradient of weight times the loss; -log softmax[target] in nats is returned.</summary>
    public static double CrossEntropy(Span<float> logits, int target, float weight)
    {
        Vector256<float> maxima = Load(logits, 0);
        for (int i = Lanes; i < logits.Length; i += Lanes)
            maxima = Vector256.Max(maxima, Load(logits, i));
        float max = maxima[0];
        for (int lane = 1; lane < Lanes; lane++)
            max = MathF.Max(max, maxima[lane]);
        float chosen = logits[target] - max;
        Vector256<float> sums = default;
        for (int i = 0; i < logits.Length; i += Lanes)
        {
            Vector256<float> power = Exp(Load(logits, i) - Vector256.Create(max));
            sums += power;
            power.CopyTo(logits[i..]);
        }

        float sum = Sum(sums), share = weight / sum;
        for (int i = 0; i < logits.Length; i += Lanes)
            (Load(logits, i) * share).CopyTo(logits[i..]);
        logits[target] -= weight;
        return Math.Log(sum) - chosen;
    }

    /// <summary>The index of the largest element, the first of equals.</summary>
    public static int Largest(ReadOnlySpan<float> x)
    {
        int best = 0;
        for (int i = 1; i < x.Length; i++)
            if (x[i] > x[best])
                best = i;
        return best;
    }

    /// <summary>e^x for x &lt;= 0, within 2e-7 of it; below -87 it is that of -87. The runtime's own differs between machines.</summary>
    internal static Vector256<float> Exp(Vector256<float> x)
    {
        const float Log2E = 1.44269504f, Ln2High = 0.693359375f, Ln2Low = -2.12194440e-4f;
        x = Vector256.Max(x, Vector256.Create(-87f));
        Vector256<int> whole = Vector256.ConvertToInt32(x * Log2E - Vector256.Create(0.5f));
        Vector256<float> n = Vector256.ConvertToSingle(whole);
        // x = n ln 2 + r with r in [-ln 2 / 2, ln 2 / 2], up to rounding; ln 2 in two parts, the first with few bits.
        Vector256<float> r = Vector256.FusedMultiplyAdd(n, Vector256.Create(-Ln2High), x);
        r = Vector256.FusedMultiplyAdd(n, Vector256.Create(-Ln2Low), r);
        Vector256<float> p = Vector256.Create(1f / 5040);
        foreach (float coefficient in Coefficients)
            p = Vector256.FusedMultiplyAdd(p, r, Vector256.Create(coefficient));
        return p * Vector256.ShiftLeft(whole + Vector256.Create(127), 23).AsSingle();
    }

    // Of the power series from r^6 / 6! down.
    private static ReadOnlySpan<float> Coefficients => [1f / 720, 1f / 120, 1f / 24, 1f / 6, 0.5f, 1, 1];

    /// <summary>The sum of the lanes, in an order that is written down.</summary>
    private static float Sum(Vector256<float> x)
    {
        Vector128<float> half = x.GetLower() + x.GetUpper();
        return half[0] + half[2] + (half[1] + half[3]);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static Vector256<float> Load(ReadOnlySpan<float> x, int at) => Vector256.LoadUnsafe(ref MemoryMarshal.GetReference(x.Slice(at, Lanes)));
}
