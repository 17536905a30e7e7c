// Which steps of an implementation concern the first tokens of the text, so that each can be right or wrong alone?
using System.Collections.Immutable;
using S2Attn.Spec;
using S2Attn.Spec.Algebra;

namespace S2Attn.Reference.Upstream;

/// <summary>How a key of the prefix came to a query slot.</summary>
public enum PrefixPart
{
    /// <summary>It is no key of the prefix.</summary>
    None,

    /// <summary>The policy shows it too.</summary>
    Also,

    /// <summary>The prefix alone shows it.</summary>
    Alone,
}

/// <summary>What is done with a prefix, as small functions whose defaults are the definition's: its tokens are keys of every query beside those of the group.</summary>
public sealed record PrefixStages
{
    /// <summary>How many places the prefix of a query head has, from P.</summary>
    public Func<Site, int, int> Length { get; init; } = (site, _) => site.Config.Prefix;

    /// <summary>Whether the prefix is seen whole.</summary>
    public Func<S2Config, bool> IsWhole { get; init; } = config => config.IsPrefixWhole;

    /// <summary>The token at a place of the prefix of a query head.</summary>
    public Func<Site, int, int, int> Token { get; init; } = (_, _, place) => place;

    /// <summary>Whether a query of token t in a head sees token u of the prefix, from what its order says: site, head, t, u.</summary>
    public Func<Site, int, int, int, bool, bool> Edge { get; init; } = (_, _, _, _, sees) => sees;

    /// <summary>Whether padded keys of the prefix count as real.</summary>
    public bool SeesPadding { get; init; }

    /// <summary>Whether a query slot reads a key that the policy shows too a second time.</summary>
    public Func<Site, Slot, bool> Repeats { get; init; } = (_, _) => false;

    /// <summary>The factor of what flows back from a query slot through a key of the prefix to an operand.</summary>
    public Func<Site, Operand, Slot, PrefixPart, double> Gradient { get; init; } = (_, _, _, _) => 1;

    /// <summary>The operands whose gradients are computed as if there were no prefix.</summary>
    public ImmutableArray<Operand> ForgottenInGradients { get; init; } = [];

    /// <summary>Whether a query of token t in a head sees token u of the prefix.</summary>
    internal bool Sees(Site site, int head, int t, int u) =>
        Edge(site, head, t, u, u <= t || !Prefixes.IsOrdered(site.Config.Mask, IsWhole(site.Config)));
}
