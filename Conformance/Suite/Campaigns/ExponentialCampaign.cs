// How exact is the kernels' 2^x? Every float of an interval, through the kernels' own code, against double.
using System.Numerics.Tensors;
using System.Runtime.Intrinsics;
using S2Attn.Optimized;
using S2Attn.Optimized.Kernels;

namespace S2Attn.Conformance.Campaigns;

/// <summary>What was found over an interval of arguments.</summary>
/// <param name="Arguments">Floats that were tried.</param>
/// <param name="WorstRelative">The largest relative error where 2^x is a normal float.</param>
/// <param name="WorstArgument">Where.</param>
/// <param name="WorstAbsolute">The largest absolute error where 2^x is below the normal range.</param>
public sealed record ExponentialReport(long Arguments, double WorstRelative, float WorstArgument, double WorstAbsolute)
{
    internal static ExponentialReport Worse(ExponentialReport a, ExponentialReport b)
    {
        ExponentialReport worst = a.WorstRelative >= b.WorstRelative ? a : b;
        return worst with { Arguments = a.Arguments + b.Arguments, WorstAbsolute = Math.Max(a.WorstAbsolute, b.WorstAbsolute) };
    }
}

/// <summary>
/// Exhaustive measurement. The reduction x = n + r is exact and the scaling by 2^n too, so that the relative error is a function of r. Every r that some
/// x &lt;= -1/2 has is a multiple of 2^-24 and already one of an x in [-3/2, -1/2]; the others are x itself, in (-1/2, 0]. The floats of [-3/2, 0] thus cover every reduced argument.
/// </summary>
public static unsafe class ExponentialCampaign
{
    /// <summary>No argument below this gives more than 0: what is left to try.</summary>
    public const float Lowest = -150;

    private const int Block = 1 << 14;

    /// <summary>Measures every float from <paramref name="from"/> to <paramref name="to"/>, both inclusive.</summary>
    /// <param name="width">A register width that the processor has.</param>
    /// <param name="from">The lesser end; at most <paramref name="to"/>.</param>
    /// <param name="to">The greater end; not positive.</param>
    /// <exception cref="ArgumentOutOfRangeException">from &lt;= to &lt;= 0 does not hold.</exception>
    /// <exception cref="PlatformNotSupportedException">The width is not available.</exception>
    public static ExponentialReport Measure(VectorWidth width, float from, float to)
    {
        if (!(from <= to && to <= 0))
            throw new ArgumentOutOfRangeException(nameof(from), from, $"from <= to <= 0 must hold; to = {to}.");
        _ = Engines.For(width);
        return width switch
        {
            VectorWidth.Bits512 => Measure<Vector512<float>, Lanes512>(from, to),
            VectorWidth.Bits256 => Measure<Vector256<float>, Lanes256>(from, to),
            VectorWidth.Bits128 => Measure<Vector128<float>, Lanes128>(from, to),
            _ => Measure(Engines.Widest, from, to),
        };
    }

    private static ExponentialReport Measure<V, TLanes>(float from, float to)
        where V : struct
        where TLanes : struct, ILanes<V>
    {
        // Negative floats in order of their bits run from -0 down.
        uint first = to == 0 ? 0x80000000u : BitConverter.SingleToUInt32Bits(to), last = BitConverter.SingleToUInt32Bits(from);
        int blocks = (int)(((long)last - first) / Block) + 1;
        return ParallelEnumerable.Range(0, blocks)
            .Select(block => MeasureBlock<V, TLanes>(first + (uint)block * Block, (int)Math.Min(Block, (long)last - first + 1 - (long)block * Block)))
            .Aggregate(ExponentialReport.Worse);
    }

    private static ExponentialReport MeasureBlock<V, TLanes>(uint first, int count)
        where V : struct
        where TLanes : struct, ILanes<V>
    {
        float[] arguments = new float[Block], results = new float[Block];
        double[] exact = new double[Block];
        for (int i = 0; i < count; i++)
            exact[i] = arguments[i] = BitConverter.UInt32BitsToSingle(first + (uint)i);
        TensorPrimitives.Exp2<double>(exact, exact);
        fixed (float* x = arguments, y = results)
            for (int i = 0; i < Block; i += TLanes.Count)
                TLanes.Store(Exponential.PowerOfTwo<V, TLanes>(TLanes.Load(new(x + i, TLanes.Count))), new(y + i, TLanes.Count));

        double smallestNormal = Math.ScaleB(1, -126), relative = 0, absolute = 0;
        int worst = 0;
        for (int i = 0; i < count; i++)
        {
            double error = Math.Abs(results[i] - exact[i]);
            if (exact[i] < smallestNormal)
                absolute = Math.Max(absolute, error);
            else if (!(error <= relative * exact[i]))
                (worst, relative) = (i, double.IsNaN(error) ? double.PositiveInfinity : error / exact[i]);
        }

        return new(count, relative, arguments[worst], absolute);
    }
}
