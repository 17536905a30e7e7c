// By which angles are queries and keys turned, and how are they stretched to longer texts?
using System.Runtime.Intrinsics;
using S2Attn.Experiments.Numerics;

namespace S2Attn.Experiments.Model;

/// <summary>How positions beyond those of pretraining are met.</summary>
public enum RopeScaling
{
    /// <summary>Angles as in pretraining.</summary>
    None,

    /// <summary>Position interpolation (arXiv 2306.15595): position p becomes p P / N.</summary>
    Interpolated,

    /// <summary>NTK-aware: the base becomes base (N / P)^(D / (D - 2)), so that the slowest angle is interpolated and the fastest is not.</summary>
    Ntk,
}

/// <summary>
/// Rotary position embedding (arXiv 2104.09864) in the layout of Llama: elements i and i + D / 2 of a head are turned by p base^(-2 i / D). Scaling is by N / P with P the length of
/// pretraining, and nothing happens where these are equal.
/// </summary>
internal sealed class Rope
{
    private const double Base = 10_000;

    private readonly int half;
    private readonly float[] cosines, sines;

    /// <summary>The angles of positions below <paramref name="places"/>, or below N where they are not given.</summary>
    /// <param name="headDim">D.</param>
    /// <param name="tokens">N, to which angles are stretched.</param>
    /// <param name="pretrained">P.</param>
    /// <param name="scaling">How.</param>
    /// <param name="places">Positions, where a text is longer than the N that a decoder was trained for.</param>
    public Rope(int headDim, int tokens, int pretrained, RopeScaling scaling, int? places = null)
    {
        int count = places ?? tokens;
        half = headDim / 2;
        cosines = new float[count * half];
        sines = new float[count * half];
        double stretch = (double)tokens / pretrained;
        double theta = scaling == RopeScaling.Ntk ? Base * Math.Pow(stretch, headDim / (headDim - 2.0)) : Base;
        double step = scaling == RopeScaling.Interpolated ? 1 / stretch : 1;
        for (int position = 0; position < count; position++)
            for (int i = 0; i < half; i++)
            {
                double angle = position * step * Math.Pow(theta, -2.0 * i / headDim);
                cosines[position * half + i] = (float)Math.Cos(angle);
                sines[position * half + i] = (float)Math.Sin(angle);
            }
    }

    /// <summary>Turns every head of every row; back again where <paramref name="backward"/>, which is what gradients need.</summary>
    /// <param name="x">[rows, H, D].</param>
    /// <param name="positions">The position of each row.</param>
    /// <param name="backward">Whether to turn by the negative angle.</param>
    public void Turn(Span<float> x, ReadOnlySpan<int> positions, bool backward)
    {
        int width = x.Length / positions.Length;
        for (int row = 0; row < positions.Length; row++)
        {
            ReadOnlySpan<float> cosine = cosines.AsSpan(positions[row] * half, half), sine = sines.AsSpan(positions[row] * half, half);
            for (int head = row * width; head < (row + 1) * width; head += 2 * half)
                for (int i = 0; i < half; i += Rows.Lanes)
                {
                    Vector256<float> low = Rows.Load(x, head + i), high = Rows.Load(x, head + half + i);
                    Vector256<float> c = Rows.Load(cosine, i), s = backward ? -Rows.Load(sine, i) : Rows.Load(sine, i);
                    (low * c - high * s).CopyTo(x[(head + i)..]);
                    (high * c + low * s).CopyTo(x[(head + half + i)..]);
                }
        }
    }
}
