// Which small configurations do the tests of pipelines go through?
using S2Attn.Reference;
using S2Attn.Spec;

namespace S2Attn.Tests.Upstream;

/// <summary>All small sizes, with the head counts at which profiles begin and cease to differ.</summary>
internal static class SmallConfigs
{
    private static readonly (int Heads, int KvHeads)[] HeadCounts = [(1, 1), (2, 1), (2, 2), (3, 3), (6, 3)];

    /// <summary>All N up to the limit, all G and S, five pairs of H and K, one or two batch entries, two ways to choose the shifted heads.</summary>
    public static IEnumerable<S2Config> Of(MaskPolicy mask, int maxTokens) =>
        from n in Enumerable.Range(1, maxTokens)
        from g in Enumerable.Range(1, n)
        where mask.CutsWrappedRun() || n % g == 0
        from s in Enumerable.Range(0, g)
        from heads in HeadCounts
        from shifted in new[] { HeadShift.SecondHalf, HeadShift.All }
        select S2Config.Create(new S2Request
        {
            Batch = 1 + (n + g + s) % 2,
            Tokens = n,
            Heads = heads.Heads,
            KvHeads = heads.KvHeads,
            HeadDim = 2,
            GroupSize = GroupSizeRule.Of(g),
            Shift = s,
            Mask = mask,
            ShiftedHeads = shifted,
        });

    public static Tensor<bool> NoPadding(S2Config config) => Tensor<bool>.Build([config.Batch, config.Tokens], _ => true);

    public static AttentionInput<double> Input(S2Config config, Tensor<bool> valid, int seed) => new(
        Random([config.Batch, config.Tokens, config.Heads, config.HeadDim], seed),
        Random([config.Batch, config.Tokens, config.KvHeads, config.HeadDim], seed + 1),
        Random([config.Batch, config.Tokens, config.KvHeads, config.HeadDim], seed + 2),
        valid);

    public static Tensor<double> Random(int[] shape, int seed)
    {
        Random random = new(seed);
        return Tensor<double>.Build(shape, _ => 4 * random.NextDouble() - 2);
    }
}
