// Which tensors do the ways into the kernel share?
namespace S2Attn.Conformance.Bench;

/// <summary>q, k, v, do and room for o, lse, dq, dk, dv, dense and aligned: every way computes on the same memory, so that none is helped or hurt by where its tensors lie.</summary>
internal sealed unsafe class WayTensors : IDisposable
{
    private readonly TensorMemory memory = new();

    /// <summary>Fills what is read with noise.</summary>
    public WayTensors(ThroughCase item)
    {
        Elements = item.Tokens * item.Heads * item.HeadDim;
        Q = Noise(1);
        K = Noise(2);
        V = Noise(3);
        OutputGradient = Noise(4);
        O = Room(Elements);
        LogSumExp = Room(item.Tokens * item.Heads);
        QueryGradient = Room(Elements);
        KeyGradient = Room(Elements);
        ValueGradient = Room(Elements);
    }

    /// <summary>Elements of one of the tensors with rows of D.</summary>
    public int Elements { get; }

    /// <summary>A tensor, [1,N,H,D].</summary>
    public float* Q { get; }

    /// <summary>A tensor, [1,N,H,D].</summary>
    public float* K { get; }

    /// <summary>A tensor, [1,N,H,D].</summary>
    public float* V { get; }

    /// <summary>A tensor, [1,N,H,D].</summary>
    public float* OutputGradient { get; }

    /// <summary>A tensor, [1,N,H,D].</summary>
    public float* O { get; }

    /// <summary>[1,N,H].</summary>
    public float* LogSumExp { get; }

    /// <summary>A tensor, [1,N,H,D].</summary>
    public float* QueryGradient { get; }

    /// <summary>A tensor, [1,N,H,D].</summary>
    public float* KeyGradient { get; }

    /// <summary>A tensor, [1,N,H,D].</summary>
    public float* ValueGradient { get; }

    /// <inheritdoc/>
    public void Dispose() => memory.Dispose();

    private float* Noise(int seed)
    {
        float* tensor = Room(Elements);
        Random random = new(seed);
        for (int i = 0; i < Elements; i++)
            tensor[i] = (2 * random.NextSingle()) - 1;
        return tensor;
    }

    private float* Room(int elements)
    {
        float* block = memory.Room<float>(elements);
        new Span<float>(block, elements).Clear();
        return block;
    }
}
