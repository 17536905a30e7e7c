// How does a C program hold a cache of keys and values, whose type it chooses at run time?
using S2Attn.Optimized;
using S2Attn.Spec;

namespace S2Attn.Native;

/// <summary>A cache and the threads that it runs on.</summary>
internal abstract unsafe class HostedCache : IDisposable
{
    /// <summary>S2ATTN_ALL_SEQUENCES.</summary>
    private const long All = -1;

    /// <summary>An empty cache of the type that the recipe names.</summary>
    /// <exception cref="NativeArgumentException">An argument breaks a rule.</exception>
    public static HostedCache Of(Recipe recipe, long sequences, long maxChunk)
    {
        if (recipe.Options.Layout != TensorLayout.TokenMajor)
            throw new NativeUnsupportedException("layout: tensors of a cache are [B,N,H,D]");
        S2Config config = S2Config.Create(recipe.Request);
        int threads = recipe.Options.Threads ?? Environment.ProcessorCount;
        KeyValueCacheOptions options = new() { Sequences = Recipe.Size("sequences", sequences), MaxChunk = Recipe.Size("max_chunk", maxChunk), Threads = threads };
        HostPool pool = new(threads);
        try
        {
            return recipe.DType switch
            {
                DType.F32 => new Typed<float>(pool, config, options),
                DType.F16 => new Typed<Half>(pool, config, options),
                _ => new Typed<BFloat16>(pool, config, options),
            };
        }
        catch
        {
            pool.Dispose();
            throw;
        }
    }

    public abstract void Append(long sequence, long tokens, void* k, void* v);

    public abstract void Attend(long sequence, long tokens, void* q, void* o, float* lse);

    public abstract void Reset(long sequence);

    public abstract NativeCacheInfo Info(long sequence);

    public abstract void Dispose();

    private sealed class Typed<T>(HostPool pool, S2Config config, KeyValueCacheOptions options) : HostedCache
        where T : unmanaged
    {
        private readonly KeyValueCache<T> cache = new(config, options with { Scheduler = pool });

        public override void Append(long sequence, long tokens, void* k, void* v)
        {
            int elements = Elements(sequence, tokens, config.KvHeads * config.HeadDim);
            cache.Append(new(Given(k, "k", elements), elements), new(Given(v, "v", elements), elements), One(sequence));
        }

        public override void Attend(long sequence, long tokens, void* q, void* o, float* lse)
        {
            int elements = Elements(sequence, tokens, config.Heads * config.HeadDim);
            cache.Attend(new(Given(q, "q", elements), elements), new(Given(o, "o", elements), elements), new(lse, lse == null ? 0 : elements / config.HeadDim), One(sequence));
        }

        public override void Reset(long sequence)
        {
            int? one = One(sequence);
            for (int i = one ?? 0; i < (one + 1 ?? cache.Sequences); i++)
                cache.Reset(i);
        }

        public override NativeCacheInfo Info(long sequence)
        {
            int one = One(sequence) ?? throw new NativeArgumentException($"sequence = {All}: must be from 0 to {cache.Sequences - 1}");
            return new() { Length = cache.LengthOf(one), FirstKey = cache.FirstKeyOf(one), MaxRows = cache.MaxRows, Bytes = cache.Bytes };
        }

        public override void Dispose()
        {
            cache.Dispose();
            pool.Dispose();
        }

        private int? One(long sequence) => sequence == All ? null
            : sequence >= 0 && sequence < cache.Sequences ? (int)sequence
            : throw new NativeArgumentException($"sequence = {sequence}: must be from 0 to {cache.Sequences - 1}, or S2ATTN_ALL_SEQUENCES");

        private int Elements(long sequence, long tokens, int row)
        {
            long rows = (long)row * (One(sequence) is null ? cache.Sequences : 1);
            return tokens < 0 ? throw new NativeArgumentException($"tokens = {tokens}: must be at least 0")
                : tokens > int.MaxValue / rows ? throw new NativeArgumentException($"tokens = {tokens}: must be at most {int.MaxValue / rows}; append or attend in several calls")
                : (int)(tokens * rows);
        }

        private static T* Given(void* pointer, string name, int elements) =>
            pointer == null && elements > 0 ? throw new NativeArgumentException($"{name} is NULL") : (T*)pointer;
    }
}
