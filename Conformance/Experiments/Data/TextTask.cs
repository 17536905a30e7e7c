// What is learned from real text?
using S2Attn.Experiments.Numerics;

namespace S2Attn.Experiments.Data;

/// <summary>The bytes of texts: the next byte is asked for everywhere, and told apart by its place in the window.</summary>
/// <param name="texts">The bytes of each portion.</param>
internal sealed class TextTask(IReadOnlyDictionary<Portion, byte[]> texts) : ITask
{
    private const int BucketCount = 8;

    /// <inheritdoc/>
    public int Vocabulary => 256;

    /// <inheritdoc/>
    public IReadOnlyList<string> Buckets { get; } = [.. Enumerable.Range(0, BucketCount).Select(i => $"position {i}/{BucketCount} to {i + 1}/{BucketCount} of N")];

    /// <inheritdoc/>
    public void Draw(Portion portion, Randomness random, Span<byte> tokens, Span<int> targets, Span<int> buckets)
    {
        byte[] text = texts[portion];
        if (text.Length <= tokens.Length)
            throw new ArgumentException($"tokens = {tokens.Length}: the text for {portion} has only {text.Length} bytes", nameof(tokens));
        int start = random.Next(text.Length - tokens.Length);
        for (int t = 0; t < tokens.Length; t++)
        {
            tokens[t] = text[start + t];
            targets[t] = text[start + t + 1];
            buckets[t] = t * BucketCount / tokens.Length;
        }
    }
}
