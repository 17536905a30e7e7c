// Does a model learn to read the future where the mask lets it?
using S2Attn.Experiments.Numerics;

namespace S2Attn.Experiments.Data;

/// <summary>
/// Random symbols whose last S tokens repeat the first S. The head cannot be foreseen: a loss on it below log(symbols) means that the tail was read. The tail can be, but only by who sees the head.
/// </summary>
internal sealed class LeakTask(int symbols, int repeated) : ITask
{
    private const int Head = 0, Middle = 1, Tail = 2;

    /// <inheritdoc/>
    public int Vocabulary => symbols;

    /// <inheritdoc/>
    public IReadOnlyList<string> Buckets { get; } = ["head", "middle", "tail"];

    /// <summary>The loss on what cannot be known, in nats.</summary>
    public double Chance => Math.Log(symbols);

    /// <inheritdoc/>
    public void Draw(Portion portion, Randomness random, Span<byte> tokens, Span<int> targets, Span<int> buckets)
    {
        int tail = tokens.Length - repeated;
        if (repeated < 2 || tail < repeated)
            throw new ArgumentException($"tokens = {tokens.Length}: must be at least twice the {repeated} that are repeated, and those at least 2", nameof(tokens));
        for (int t = 0; t < tokens.Length; t++)
            tokens[t] = t < tail ? (byte)random.Next(symbols) : tokens[t - tail];
        for (int t = 0; t < tokens.Length; t++)
        {
            targets[t] = t + 1 < tokens.Length ? tokens[t + 1] : -1;
            buckets[t] = t + 1 < repeated ? Head : t + 1 < tail ? Middle : Tail;
        }
    }
}
