// Does a model generate the same text with a cache of keys and values as when it computes everything again for each token, and how much faster?
using System.Diagnostics;
using System.Numerics.Tensors;
using S2Attn.Optimized;
using S2Attn.Spec;

namespace S2Attn.Examples;

/// <summary>
/// A tiny decoder with random weights that names the likeliest next token: embedding, two layers of S2-Attn with a residual each, a read-out. Under Split no token
/// sees a later one, whatever the length, so a layer's keys and values of the past never change: theorem "PrefixStable".
/// </summary>
public sealed class Generation
{
    private const int Symbols = 97, Heads = 4, KvHeads = 2, Dim = 16, Width = Heads * Dim, KvWidth = KvHeads * Dim, Layers = 2;

    private readonly S2Config config;
    private readonly float[] embedding, readOut;
    private readonly Layer[] layers;

    /// <summary>A model with weights from a seed.</summary>
    /// <param name="groupSize">G; half of the heads shift by half of it.</param>
    /// <param name="seed">Decides the weights.</param>
    public Generation(int groupSize, int seed)
    {
        Random random = new(seed);
        config = S2Config.Create(new() { Tokens = groupSize, Heads = Heads, KvHeads = KvHeads, HeadDim = Dim, GroupSize = GroupSizeRule.Of(groupSize), Mask = MaskPolicy.Split });
        (embedding, readOut) = (Noise(Symbols * Width), Noise(Symbols * Width));
        layers = [.. Enumerable.Range(0, Layers).Select(_ => new Layer(Noise(Width * Width), Noise(KvWidth * Width), Noise(KvWidth * Width), Noise(Width * Width)))];

        // Rows of unit length keep the numbers of all layers of one size.
        float[] Noise(int length)
        {
            float[] weights = new float[length];
            for (int i = 0; i < length; i++)
                weights[i] = (float)((2 * random.NextDouble() - 1) * Math.Sqrt(3.0 / Width));
            return weights;
        }
    }

    /// <summary>A prompt from a seed.</summary>
    public static int[] Prompt(int tokens, int seed)
    {
        Random random = new(seed);
        return [.. Enumerable.Range(0, tokens).Select(_ => random.Next(Symbols))];
    }

    /// <summary>The prompt and so many tokens more, where each layer keeps the keys and values of the past; the prompt goes through in chunks.</summary>
    /// <param name="prompt">The text so far; at least one token.</param>
    /// <param name="count">Tokens to generate.</param>
    /// <param name="elapsed">The time of the new tokens, without the prompt's.</param>
    public int[] WithCache(int[] prompt, int count, out TimeSpan elapsed)
    {
        const int Chunk = 64;
        KeyValueCache<float>[] caches = [.. layers.Select(_ => new KeyValueCache<float>(config, new() { MaxChunk = Chunk, Threads = 1 }))];
        try
        {
            List<int> text = [.. prompt];
            int next = 0;
            for (int start = 0; start < prompt.Length; start += Chunk)
                next = Next(prompt.AsSpan(start, Math.Min(Chunk, prompt.Length - start)), Cached);
            Stopwatch watch = Stopwatch.StartNew();
            while (text.Count < prompt.Length + count)
            {
                text.Add(next);
                next = Next([next], Cached);
            }

            elapsed = watch.Elapsed;
            return [.. text];
        }
        finally
        {
            Array.ForEach(caches, cache => cache.Dispose());
        }

        void Cached(int layer, float[] q, float[] k, float[] v, float[] o)
        {
            caches[layer].Append(k, v);
            caches[layer].Attend(q, o);
        }
    }

    /// <summary>The same by computing the whole text again for each token.</summary>
    public int[] ByComputingAgain(int[] prompt, int count, out TimeSpan elapsed)
    {
        List<int> text = [.. prompt];
        Stopwatch watch = Stopwatch.StartNew();
        while (text.Count < prompt.Length + count)
            text.Add(Next([.. text], Whole));
        elapsed = watch.Elapsed;
        return [.. text];

        void Whole(int layer, float[] q, float[] k, float[] v, float[] o)
        {
            using S2AttentionPlan plan = S2AttentionPlan.OfSlice(S2Slice.Create(config, new() { FirstQuery = 0, EndQuery = q.Length / Width, IsUnbounded = true }), new() { Threads = 1 });
            plan.Forward<float>(q, k, v, o);
        }
    }

    // The likeliest token behind the last of some tokens, all of which pass through every layer.
    private int Next(ReadOnlySpan<int> tokens, Action<int, float[], float[], float[], float[]> attend)
    {
        float[] x = new float[tokens.Length * Width], o = new float[x.Length];
        for (int t = 0; t < tokens.Length; t++)
            embedding.AsSpan(tokens[t] * Width, Width).CopyTo(x.AsSpan(t * Width));
        for (int i = 0; i < layers.Length; i++)
        {
            attend(i, Times(layers[i].Query, x), Times(layers[i].Key, x), Times(layers[i].Value, x), o);
            TensorPrimitives.Add(x, Times(layers[i].Output, o), x);
        }

        float[] scores = Times(readOut, x.AsSpan()[^Width..]);
        return TensorPrimitives.IndexOfMax(scores);
    }

    // Each row of x times each row of a matrix.
    private static float[] Times(float[] matrix, ReadOnlySpan<float> x)
    {
        int outputs = matrix.Length / Width;
        float[] result = new float[x.Length / Width * outputs];
        for (int i = 0; i < result.Length; i++)
            result[i] = TensorPrimitives.Dot(matrix.AsSpan(i % outputs * Width, Width), x.Slice(i / outputs * Width, Width));
        return result;
    }

    private sealed record Layer(float[] Query, float[] Key, float[] Value, float[] Output);
}
