// Which cases can the suite itself keep and compute in seconds?
using S2Attn.Spec;

namespace S2Attn.Conformance.Protocol;

/// <summary>
/// Limits on the size of one case. A limit on the port's time does not end what Reference computes beside it, and a row's limit is looked at between evaluations
/// only. At the limits one evaluation with its bounds takes about ten seconds of one core forward, and twenty with gradients: an estimate from smaller cases.
/// </summary>
public static class CaseBudget
{
    /// <summary>The most elements of q.</summary>
    public const long MaxElements = 1 << 24;

    /// <summary>The most products of elements in the scores.</summary>
    public const long MaxProducts = 1L << 31;

    /// <summary>The most pairs of query and key: Reference asks of every pair whether it is visible.</summary>
    public const long MaxPairs = 1L << 28;

    /// <summary>The rule in words.</summary>
    public static string Rule { get; } = FormattableString.Invariant(
        $"the suite computes at most {MaxElements} elements, {MaxPairs} pairs of query and key (batch*heads*tokens*tokens) and {MaxProducts} products of scores (batch*heads*headDim*tokens*2*groupSize) for a case");

    /// <summary>Whether a configuration is within the budget.</summary>
    public static bool Holds(S2Config config)
    {
        ArgumentNullException.ThrowIfNull(config);
        return Holds(config.Batch, config.Tokens, config.Heads, config.HeadDim, config.GroupSize);
    }

    /// <summary>Whether sizes are within the budget. A query sees at most two groups, and no more than all tokens.</summary>
    public static bool Holds(int batch, int tokens, int heads, int headDim, int groupSize)
    {
        Int128 rows = (Int128)batch * tokens * heads, elements = rows * headDim;
        return elements <= MaxElements && rows * tokens <= MaxPairs && elements * Math.Min(tokens, 2L * groupSize) <= MaxProducts;
    }
}
