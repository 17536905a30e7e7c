// Which tensors do kernel, peers and ways into the kernel share, and how does a plan compute on them?
using S2Attn.Optimized;
using S2Attn.Spec;

namespace S2Attn.Conformance.Bench;

/// <summary>q, k, v and room for o and lse, with a backward pass also do and room for dq, dk, dv, dense and aligned: whatever is measured computes on the same memory, so that none is helped or hurt by where its tensors lie.</summary>
internal sealed unsafe class BenchTensors<T>
    where T : unmanaged
{
    private readonly bool withBackward;

    /// <summary>Fills what is read; the tensors of the backward pass are null where there is none.</summary>
    /// <param name="memory">Owns them.</param>
    /// <param name="config">The sizes.</param>
    /// <param name="withBackward">Whether there is a backward pass.</param>
    /// <param name="elements">What the tensor of a number from 1 to 4 holds: q, k, v, do, each of so many elements.</param>
    /// <param name="store">Rounds an element.</param>
    public BenchTensors(TensorMemory memory, S2Config config, bool withBackward, Func<int, int, float[]> elements, Func<float, T> store)
    {
        this.withBackward = withBackward;
        Elements = Layout.Row(config.Tokens, config.Heads, config.HeadDim, config.Batch, 0, 0);
        int keyElements = Layout.Row(config.Tokens, config.KvHeads, config.HeadDim, config.Batch, 0, 0);
        Query = Filled(1, Elements);
        Key = Filled(2, keyElements);
        Value = Filled(3, keyElements);
        Output = memory.Room<T>(Elements);
        LogSumExp = memory.Room<float>(Elements / config.HeadDim);
        if (!withBackward)
            return;
        OutputGradient = Filled(4, Elements);
        QueryGradient = memory.Room<float>(Elements);
        KeyGradient = memory.Room<float>(keyElements);
        ValueGradient = memory.Room<float>(keyElements);

        T* Filled(int number, int length) => memory.Copy<T>(Array.ConvertAll(elements(number, length), store.Invoke));
    }

    /// <summary>Elements of q, and of all that has its shape.</summary>
    public int Elements { get; }

    /// <summary>[B,N,H,D].</summary>
    public T* Query { get; }

    /// <summary>[B,N,K,D].</summary>
    public T* Key { get; }

    /// <summary>[B,N,K,D].</summary>
    public T* Value { get; }

    /// <summary>[B,N,H,D].</summary>
    public T* OutputGradient { get; }

    /// <summary>[B,N,H,D].</summary>
    public T* Output { get; }

    /// <summary>[B,N,H].</summary>
    public float* LogSumExp { get; }

    /// <summary>[B,N,H,D].</summary>
    public float* QueryGradient { get; }

    /// <summary>[B,N,K,D].</summary>
    public float* KeyGradient { get; }

    /// <summary>[B,N,K,D].</summary>
    public float* ValueGradient { get; }

    /// <summary>A direct call of a plan: forward, and backward where there is such a pass.</summary>
    public Action Call(S2AttentionPlan plan)
    {
        if (!withBackward)
            return () => plan.ForwardPointers(Query, Key, Value, Output, LogSumExp, null);
        return () =>
        {
            plan.ForwardPointers(Query, Key, Value, Output, LogSumExp, null);
            plan.BackwardPointers(Query, Key, Value, Output, LogSumExp, OutputGradient, QueryGradient, KeyGradient, ValueGradient);
        };
    }
}

internal static class BenchNoise
{
    /// <summary>So many numbers from -1 to 1, the same for a seed.</summary>
    public static float[] Of(int seed, int length)
    {
        Random random = new(seed);
        float[] elements = new float[length];
        for (int i = 0; i < length; i++)
            elements[i] = (2 * random.NextSingle()) - 1;
        return elements;
    }
}
