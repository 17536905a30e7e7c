// What does a tuned matrix product reach on this machine? The practical limit beside the FMA peak.
using System.Diagnostics;
using System.Runtime.InteropServices;

namespace S2Attn.Conformance.Bench;

/// <summary>sgemm of the OpenBLAS that the system has, on one thread.</summary>
public static unsafe class Blas
{
    private const string Library = "libopenblas.so.0";
    private const int RowMajor = 101, NoTranspose = 111, Size = 1024;

    /// <summary>Its rate in FLOP/s at 1024 x 1024 x 1024, the best of some rounds; absent, with the reason in words, where the library is missing.</summary>
    public static double? Measure(int rounds, out string what)
    {
        what = $"sgemm of OpenBLAS, {Size} x {Size} x {Size}, one thread";
        if (!NativeLibrary.TryLoad(Library, out nint library))
        {
            what += $": not measured, {Library} is not installed";
            return null;
        }

        if (!NativeLibrary.TryGetExport(library, "openblas_set_num_threads", out nint setThreads) || !NativeLibrary.TryGetExport(library, "cblas_sgemm", out nint sgemm))
        {
            what += $": not measured, {Library} has no cblas_sgemm";
            return null;
        }

        ((delegate* unmanaged<int, void>)setThreads)(1);
        var multiply = (delegate* unmanaged<int, int, int, int, int, int, float, float*, int, float*, int, float, float*, int, void>)sgemm;
        float[] a = new float[Size * Size], b = new float[a.Length], c = new float[a.Length];
        Array.Fill(a, 0.5f);
        Array.Fill(b, 0.25f);
        double best = double.PositiveInfinity;
        fixed (float* left = a, right = b, product = c)
            for (int round = 0; round <= rounds; round++)
            {
                long start = Stopwatch.GetTimestamp();
                multiply(RowMajor, NoTranspose, NoTranspose, Size, Size, Size, 1, left, Size, right, Size, 0, product, Size);
                best = Math.Min(best, Stopwatch.GetElapsedTime(start).TotalSeconds);
            }

        if (c[0] != Size * 0.125f)
            throw new InvalidOperationException($"{Library} computed {c[0]} instead of {Size * 0.125f}.");
        return 2.0 * Size * Size * Size / best;
    }
}
