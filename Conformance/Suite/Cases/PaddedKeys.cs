// Which keys does a padding pattern leave valid?
using S2Attn.Reference;

namespace S2Attn.Conformance.Cases;

internal static class PaddedKeys
{
    /// <summary>valid [B,N] for a pattern; every pattern but None pads at least one key.</summary>
    public static Tensor<bool> Build(int batch, int tokens, PaddingPattern pattern, int seed, Random random)
    {
        int common = random.Next(1, tokens + 1);
        int[] own = [.. Enumerable.Range(0, batch).Select(b => b == 0 ? common : random.Next(0, tokens + 1))];
        bool[] scattered = [.. Enumerable.Range(0, batch * tokens).Select(i => i == 0 || random.Next(3) == 0)];
        bool[] sparse = pattern is PaddingPattern.Sparse ? [.. Enumerable.Range(0, batch * tokens).Select(i => i == 0 || random.Next(10) == 0)] : [];
        return Tensor<bool>.Build([batch, tokens], i =>
        {
            (int b, int t) = Math.DivRem(i, tokens);
            bool padded = pattern switch
            {
                PaddingPattern.None => false,
                PaddingPattern.Right => t >= tokens - common,
                PaddingPattern.Left => t < common,
                PaddingPattern.Unequal => t >= tokens - own[b],
                PaddingPattern.Scattered => scattered[i],
                PaddingPattern.WholeSequence => b == batch - 1,
                PaddingPattern.One => t == seed % tokens,
                PaddingPattern.Sparse => sparse[i],
                _ => throw new ArgumentOutOfRangeException(nameof(pattern), pattern, "Unknown padding pattern."),
            };
            return !padded;
        });
    }
}
