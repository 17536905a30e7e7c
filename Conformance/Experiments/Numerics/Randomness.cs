// Which random numbers does a run draw, the same on every machine?
namespace S2Attn.Experiments.Numerics;

/// <summary>
/// SplitMix64 (Steele, Lea and Flood 2014), keyed by what is drawn for, so that a batch is a function of its seed and its number and a run that is resumed needs no state of a generator.
/// </summary>
internal sealed class Randomness
{
    private const ulong Golden = 0x9E3779B97F4A7C15;

    private ulong state;

    /// <summary>A stream of its own for each list of keys.</summary>
    public Randomness(params ReadOnlySpan<long> keys)
    {
        foreach (long key in keys)
            state = Mix(state + Golden ^ (ulong)key * 0xD6E8FEB86659FD93);
    }

    /// <summary>Uniform in [0, bound).</summary>
    public int Next(int bound)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(bound, 1);
        return (int)Math.BigMul(NextBits(), (ulong)bound, out _);
    }

    /// <summary>Uniform in [-1, 1), a multiple of 2^-23.</summary>
    public float NextSigned() => (int)(NextBits() >> 40) * (1f / (1 << 23)) - 1;

    private ulong NextBits() => Mix(state += Golden);

    private static ulong Mix(ulong z)
    {
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9;
        z = (z ^ z >> 27) * 0x94D049BB133111EB;
        return z ^ z >> 31;
    }
}
