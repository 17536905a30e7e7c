// How large is a group, and by how much is it shifted, for a sequence of N tokens?
namespace S2Attn.Spec;

/// <summary>The rules by which implementations choose G and the default S from N.</summary>
public abstract record GroupSizeRule
{
    private GroupSizeRule() { }

    /// <summary>G as given, S = G / 2 rounded down.</summary>
    public sealed record Explicit(int GroupSize) : GroupSizeRule;

    /// <summary>
    /// G = int(N * Ratio), which must divide N: llama_attn_replace.py and gptneox_attn_replace.py with group_size_ratio = 1/4.
    /// </summary>
    public sealed record Ratio(double Value) : GroupSizeRule;

    /// <summary>
    /// llama_attn_replace_sft.py: G = N / 4 where 4096 divides N, else 8192 with starts past the end dropped. As G may not exceed N
    /// here, shorter sequences get the G and S that leave the same segments: G = min(8192, N), and S = 4096, or 0 where N &lt;= 4096.
    /// </summary>
    public sealed record SupervisedFineTuning : GroupSizeRule;

    /// <summary>A given group size.</summary>
    public static GroupSizeRule Of(int groupSize) => new Explicit(groupSize);

    /// <summary>LongLoRA's rule: a quarter of the sequence.</summary>
    public static GroupSizeRule LongLora { get; } = new Ratio(0.25);

    /// <summary>LongLoRA's rule for supervised fine-tuning.</summary>
    public static GroupSizeRule LongLoraSft { get; } = new SupervisedFineTuning();

    /// <summary>The group size and default shift for N tokens; they are validated by <see cref="S2Config"/>.</summary>
    public (int GroupSize, int Shift) Resolve(int tokens)
    {
        const int SftMultiple = 4096, SftGroupSize = 8192;
        return this switch
        {
            Explicit rule => WithHalfShift(rule.GroupSize),
            Ratio rule => WithHalfShift((int)(tokens * rule.Value)),
            SupervisedFineTuning when tokens % SftMultiple == 0 => WithHalfShift(tokens / 4),
            SupervisedFineTuning => (Math.Min(SftGroupSize, tokens), tokens <= SftGroupSize / 2 ? 0 : SftGroupSize / 2),
            _ => throw new InvalidOperationException($"Unknown group size rule {this}."),
        };
    }

    /// <summary>
    /// The same for one sequence of N tokens in a packed batch, which is attended as if it were alone. A given G may be more than a sequence has: it then is a single
    /// group, cut at S where it is longer than S. The other rules choose G for each sequence, and an N that they cannot serve is refused.
    /// </summary>
    /// <param name="tokens">N of the sequence.</param>
    /// <param name="shift">S as given; the rule's where not given.</param>
    public (int GroupSize, int Shift) ResolvePacked(int tokens, int? shift)
    {
        (int groupSize, int ruleShift) = Resolve(tokens);
        int given = shift ?? ruleShift;
        return this is Explicit
            ? (Math.Min(groupSize, tokens), given < tokens ? given : 0)
            : (groupSize, given);
    }

    private static (int GroupSize, int Shift) WithHalfShift(int groupSize) => (groupSize, groupSize / 2);
}
