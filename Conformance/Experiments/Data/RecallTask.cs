// Can a model repeat what it read far back, whatever the distance?
using S2Attn.Experiments.Numerics;

namespace S2Attn.Experiments.Data;

/// <summary>
/// Random symbols with a marker and a key somewhere, and the same marker later, behind which the key must be said again. Symbol 0 is the marker. Both places are random
/// (copy at a random distance), or the second is the end of the text (a passkey at a depth). A distance that did not vary would teach a position, not to copy.
/// </summary>
internal sealed class RecallTask(int symbols, int keyLength, bool asksAtEnd) : ITask
{
    private const int BucketCount = 8, Marker = 0;

    /// <inheritdoc/>
    public int Vocabulary => symbols;

    /// <inheritdoc/>
    public IReadOnlyList<string> Buckets { get; } = [.. Enumerable.Range(0, BucketCount).Select(i => $"distance {i}/{BucketCount} to {i + 1}/{BucketCount} of N")];

    /// <inheritdoc/>
    public void Draw(Portion portion, Randomness random, Span<byte> tokens, Span<int> targets, Span<int> buckets)
    {
        int span = keyLength + 1, places = tokens.Length - span;
        if (keyLength < 1 || places < span)
            throw new ArgumentException($"tokens = {tokens.Length}: must be at least {2 * span}, two markers and two keys of {keyLength}", nameof(tokens));
        foreach (ref byte token in tokens)
            token = (byte)(1 + random.Next(symbols - 1));
        targets.Fill(-1);
        // The distance first, so that each is as likely as any other; then the place.
        int distance = span + random.Next(places - span + 1);
        int first = asksAtEnd ? places - distance : random.Next(places - distance + 1);
        int second = first + distance;
        tokens[first] = tokens[second] = Marker;
        tokens.Slice(first + 1, keyLength).CopyTo(tokens[(second + 1)..]);
        for (int i = 0; i < keyLength; i++)
        {
            targets[second + i] = tokens[second + i + 1];
            buckets[second + i] = Math.Min(distance * BucketCount / tokens.Length, BucketCount - 1);
        }
    }
}
