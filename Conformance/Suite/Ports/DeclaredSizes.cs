// Which sizes may a port declare, so that the suite itself can draw, keep and compute what it asks for?
using System.Globalization;
using S2Attn.Conformance.Cases;

namespace S2Attn.Conformance.Ports;

/// <summary>
/// Ranges of what a declaration fixes. They are far past every model that exists; a size beyond them would stall the suite's own work, which no limit on the
/// port's time ends.
/// </summary>
public static class DeclaredSizes
{
    /// <summary>The most query heads, or flags in an array of shifted heads.</summary>
    public const int MaxHeads = 1024;

    private const int MaxBatch = 1024, MaxDim = 4096, MaxTokens = 1 << 20;

    /// <summary>Checks every fixed size, and the smallest case that keeps all of them.</summary>
    /// <exception cref="FormatException">One is out of range, or they contradict each other; the message names field, value and rule.</exception>
    public static void Check(PortCapabilities capabilities)
    {
        ArgumentNullException.ThrowIfNull(capabilities);
        FixedConfig values = capabilities.Fixed;
        int batch = InRange("batch", values.Batch, 1, MaxBatch), tokens = InRange("tokens", values.Tokens, 1, MaxTokens), group = InRange("groupSize", values.GroupSize, 1, MaxTokens);
        int heads = InRange("heads", values.Heads, 1, MaxHeads), kvHeads = InRange("kvHeads", values.KvHeads, 1, MaxHeads), dim = InRange("headDim", values.HeadDim, 1, MaxDim);
        int shift = InRange("shift", values.Shift, 0, MaxTokens);
        if (values.Scale is { } scale && !double.IsFinite(scale))
            throw Wrong("scale", scale, "must be a finite number");
        if (values.Tokens is { } n && n > capabilities.MaxTokens)
            throw Wrong("tokens", n, $"must be at most maxTokens = {capabilities.MaxTokens}");
        if (group > (values.Tokens ?? capabilities.MaxTokens))
            throw Wrong("groupSize", group, $"must be at most {(values.Tokens is null ? "maxTokens" : "tokens")} = {values.Tokens ?? capabilities.MaxTokens}");
        if (values.GroupSize is { } g && shift >= g)
            throw Wrong("shift", shift, $"must be from 0 to groupSize - 1 = {g - 1}");
        if (values is { Heads: not null, KvHeads: not null } && heads % kvHeads != 0)
            throw Wrong("kvHeads", kvHeads, $"must divide heads = {heads}");
        if (values is { Heads: not null, ShiftedHeads: Spec.HeadShift.Given given } && given.Flags.Length != heads)
            throw Wrong("shiftedHeads", given.Flags.Length, $"must hold one flag for each of the heads = {heads}");
        tokens = Math.Max(tokens, Math.Max(group, shift + 1));
        group = Math.Max(group, shift + 1);
        heads = Math.Max(heads, kvHeads);
        if (!CaseBudget.Holds(batch, tokens, heads, dim, group))
            throw new FormatException($"fixed: the smallest case that keeps all of it has batch*tokens*heads*headDim = {batch}*{tokens}*{heads}*{dim} in groups of {group}: {CaseBudget.Rule}");
    }

    private static int InRange(string name, int? value, int min, int max) => value is not { } given ? min
        : given >= min && given <= max ? given
        : throw Wrong(name, given, string.Create(CultureInfo.InvariantCulture, $"must be an integer from {min} to {max}"));

    private static FormatException Wrong(string name, double value, string rule) => new(string.Create(CultureInfo.InvariantCulture, $"fixed.{name} = {value}: {rule}"));
}
