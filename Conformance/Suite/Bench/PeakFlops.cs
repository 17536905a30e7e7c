// How many floating-point operations can one core of this machine do? The yardstick of every ratio.
using System.Diagnostics;
using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace S2Attn.Conformance.Bench;

/// <summary>
/// The single-core f32 FMA peak: twelve independent chains of fused multiply-adds in registers, enough to hide the latency of two units.
/// The faster of 512 bits and of what a Vector of the runtime is (256 bits with AVX2, else 128) counts, so that a ratio to it is never flattered.
/// </summary>
public static class PeakFlops
{
    private const int Chains = 12, Iterations = 1_000_000, MostWindows = 20;

    /// <summary>Measures once, in FLOP/s; it takes a few milliseconds.</summary>
    public static double Measure()
    {
        double narrow = Rate(Vector<float>.Count, ChainsNarrow, 0);
        return Vector512.IsHardwareAccelerated ? Math.Max(narrow, Rate(Vector512<float>.Count, Chains512, 0)) : narrow;
    }

    /// <summary>
    /// What a core holds for so long, in FLOP/s: a clock that falls under load gives short bursts more than any call that takes longer can have.
    /// </summary>
    /// <param name="seconds">How long at least; the few milliseconds of <see cref="Measure"/> come before.</param>
    public static double Sustained(double seconds)
    {
        double narrow = Rate(Vector<float>.Count, ChainsNarrow, 0);
        return Vector512.IsHardwareAccelerated && Rate(Vector512<float>.Count, Chains512, 0) > narrow
            ? Rate(Vector512<float>.Count, Chains512, seconds)
            : Rate(Vector<float>.Count, ChainsNarrow, seconds);
    }

    /// <summary>The best of some such windows, all of which together take about a tenth of a second or one window.</summary>
    /// <param name="window">Seconds of a window; from a tenth on it is that.</param>
    public static double Best(double window)
    {
        const double All = 0.1;
        double each = Math.Clamp(window, All / MostWindows, All);
        return Enumerable.Range(0, (int)Math.Ceiling(All / each)).Max(_ => Sustained(each));
    }

    /// <summary>What several cores do at once in windows of this length, in FLOP/s: less than their number times one where they share power, heat or a physical core.</summary>
    public static double Together(int threads, double window)
    {
        double[] rates = new double[threads];
        using Barrier start = new(threads);
        Thread[] workers = [.. Enumerable.Range(0, threads).Select(i => new Thread(() =>
        {
            start.SignalAndWait();
            rates[i] = Best(window);
        }))];
        Array.ForEach(workers, worker => worker.Start());
        Array.ForEach(workers, worker => worker.Join());
        return rates.Sum();
    }

    private static double Rate(int lanes, Func<float, float> chains, double seconds)
    {
        long start = Stopwatch.GetTimestamp();
        double taken = 0;
        for (int bursts = 1; ; bursts++)
        {
            float result = chains(1e-3f);
            taken = Stopwatch.GetElapsedTime(start).TotalSeconds;

            // The result's own class keeps the loop alive without adding work to it.
            if (float.IsNaN(result))
                return 0;
            if (taken >= seconds)
                return 2.0 * lanes * Chains * Iterations * bursts / taken;
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining | MethodImplOptions.AggressiveOptimization)]
    private static float ChainsNarrow(float seed)
    {
        Vector<float> x = Vector.Create(seed), y = Vector.Create(0.999f);
        Vector<float> a = x, b = x, c = x, d = x, e = x, f = x, g = x, h = x, i = x, j = x, k = x, l = x;
        for (int n = 0; n < Iterations; n++)
        {
            a = Vector.MultiplyAddEstimate(a, y, x);
            b = Vector.MultiplyAddEstimate(b, y, x);
            c = Vector.MultiplyAddEstimate(c, y, x);
            d = Vector.MultiplyAddEstimate(d, y, x);
            e = Vector.MultiplyAddEstimate(e, y, x);
            f = Vector.MultiplyAddEstimate(f, y, x);
            g = Vector.MultiplyAddEstimate(g, y, x);
            h = Vector.MultiplyAddEstimate(h, y, x);
            i = Vector.MultiplyAddEstimate(i, y, x);
            j = Vector.MultiplyAddEstimate(j, y, x);
            k = Vector.MultiplyAddEstimate(k, y, x);
            l = Vector.MultiplyAddEstimate(l, y, x);
        }

        return Vector.Sum(a + b + c + d + e + f + g + h + i + j + k + l);
    }

    [MethodImpl(MethodImplOptions.NoInlining | MethodImplOptions.AggressiveOptimization)]
    private static float Chains512(float seed)
    {
        Vector512<float> x = Vector512.Create(seed), y = Vector512.Create(0.999f);
        Vector512<float> a = x, b = x, c = x, d = x, e = x, f = x, g = x, h = x, i = x, j = x, k = x, l = x;
        for (int n = 0; n < Iterations; n++)
        {
            a = Vector512.MultiplyAddEstimate(a, y, x);
            b = Vector512.MultiplyAddEstimate(b, y, x);
            c = Vector512.MultiplyAddEstimate(c, y, x);
            d = Vector512.MultiplyAddEstimate(d, y, x);
            e = Vector512.MultiplyAddEstimate(e, y, x);
            f = Vector512.MultiplyAddEstimate(f, y, x);
            g = Vector512.MultiplyAddEstimate(g, y, x);
            h = Vector512.MultiplyAddEstimate(h, y, x);
            i = Vector512.MultiplyAddEstimate(i, y, x);
            j = Vector512.MultiplyAddEstimate(j, y, x);
            k = Vector512.MultiplyAddEstimate(k, y, x);
            l = Vector512.MultiplyAddEstimate(l, y, x);
        }

        return Vector512.Sum(a + b + c + d + e + f + g + h + i + j + k + l);
    }
}
