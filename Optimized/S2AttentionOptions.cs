// How shall a plan run: on how many threads, whose threads, over which strides?
namespace S2Attn.Optimized;

/// <summary>Register widths that the kernel is compiled for.</summary>
public enum VectorWidth
{
    /// <summary>The widest that the processor has.</summary>
    Widest,

    /// <summary>128 bits: NEON, or the portable path, which runs everywhere.</summary>
    Bits128,

    /// <summary>256 bits: AVX2 with FMA.</summary>
    Bits256,

    /// <summary>512 bits: AVX-512.</summary>
    Bits512,
}

/// <summary>Runs the workers of a call: the way for a caller to bring threads of its own.</summary>
/// <remarks>
/// A scheduler that does otherwise never makes a wrong answer: bodies that are called twice, for no worker or after the call do nothing, the call waits for
/// those that run when it returns, and throws an <see cref="InvalidOperationException"/> that names the scheduler. Items of a body that was left out are computed by the
/// others; where none is left to do so, the call throws too. What the scheduler throws, the call throws.
/// </remarks>
public interface IWorkScheduler
{
    /// <summary>Calls body(0), ..., body(workers - 1) once each, on any threads and in any order, and returns when all have returned. A body throws nothing.</summary>
    void Run(int workers, Action<int> body);
}

/// <summary>How a plan runs, and where the rows of its tensors stand; what is not given is dense in the layout.</summary>
public sealed record S2AttentionOptions
{
    /// <summary>B of the calls; that of the configuration where not given. 0 makes calls on empty tensors that write nothing, as the last batch of a trainer may be.</summary>
    public int? Batch { get; init; }

    /// <summary>Workers of a call, from 1 to 4096; the processors of the machine where not given. The results do not depend on it.</summary>
    public int? Threads { get; init; }

    /// <summary>Who runs the workers; threads of the plan where not given.</summary>
    public IWorkScheduler? Scheduler { get; init; }

    /// <summary>The layout of tensors whose strides are not given.</summary>
    public TensorLayout Layout { get; init; }

    /// <summary>Strides of q [B,N,H,D].</summary>
    public TensorStrides? Query { get; init; }

    /// <summary>Strides of k [B,N,K,D].</summary>
    public TensorStrides? Key { get; init; }

    /// <summary>Strides of v [B,N,K,D].</summary>
    public TensorStrides? Value { get; init; }

    /// <summary>Strides of o [B,N,H,D], whose rows may not share elements.</summary>
    public TensorStrides? Output { get; init; }

    /// <summary>Strides of lse, rows of one element: [B,N,H] dense where not given, whatever the layout; (H N, 1, N) is [B,H,N].</summary>
    public TensorStrides? LogSumExp { get; init; }

    /// <summary>Strides of do; those of o where not given.</summary>
    public TensorStrides? OutputGradient { get; init; }

    /// <summary>Strides of the gradient of lse; those of lse where not given.</summary>
    public TensorStrides? LogSumExpGradient { get; init; }

    /// <summary>Strides of dq; where not given those of q, or dense ones where rows of q share elements.</summary>
    public TensorStrides? QueryGradient { get; init; }

    /// <summary>Strides of dk; where not given those of k, or dense ones where rows of k share elements.</summary>
    public TensorStrides? KeyGradient { get; init; }

    /// <summary>Strides of dv; where not given those of v, or dense ones where rows of v share elements.</summary>
    public TensorStrides? ValueGradient { get; init; }

    /// <summary>Register width; every width gives results within the same bound, but not the same bits.</summary>
    public VectorWidth VectorWidth { get; init; }
}
