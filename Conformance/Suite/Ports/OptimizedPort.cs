// The SIMD kernels of this project as a port: what the suite says of them, it says as of any other implementation.
using System.Collections.Immutable;
using S2Attn.Optimized;
using S2Attn.Reference;
using S2Attn.Spec;

namespace S2Attn.Conformance.Ports;

/// <summary>S2AttentionPlan behind the interface of a port. A plan is made for each case; its backward pass starts from its own forward pass.</summary>
/// <param name="options">How plans run; layout and strides must be the default, since cases are dense [B,N,H,D].</param>
public sealed class OptimizedPort(S2AttentionOptions options) : IAttentionPort
{
    /// <summary>The port with the widest registers and all processors.</summary>
    public OptimizedPort()
        : this(new S2AttentionOptions())
    {
    }

    /// <inheritdoc/>
    public PortDescription Description { get; } = new(
        "optimized",
        typeof(S2AttentionPlan).Assembly.GetName().Version!.ToString(3),
        "C#",
        new PortCapabilities(
            [PortOperation.Forward, PortOperation.Backward],
            [ElementType.F32, ElementType.F16, ElementType.BF16],
            [.. MaskPolicies.All],
            GroupedQuery: true,
            Padding: true,
            OddGroup: true,
            Ragged: true,
            MaxTokens: int.MaxValue)
        {
            Isolation = true,
            Tiles = KernelTiles.Of(1, options.VectorWidth).Lengths,
        });

    /// <summary>
    /// How the kernels round: f32 throughout, an online softmax over their tiles of keys, one chain over the keys, exp flushed below 2^-126, the logsumexp rounded once.
    /// docs/error-bounds.md ties each number to the function that it describes.
    /// </summary>
    public static RoundingModel ModelOf(S2Config config, ElementType type)
    {
        ArgumentNullException.ThrowIfNull(config);
        return new($"S2AttentionPlan, {type}", Math.ScaleB(1, -24), Math.ScaleB(1, -150), float.MaxValue, PowerOfTwoError, Math.ScaleB(1, -126), Agreement.StorageOf(type))
        {
            ScoreRoundings = 2,
            LogRoundings = 1,
            KeyBlock = KernelPaths.SmallestKeyTile(config.HeadDim),
            Recomputes = true,
        };
    }

    /// <summary>Relative error of the kernels' 2^x for normal results, on every path: see s2attn campaign exp.</summary>
    public const double PowerOfTwoError = 1.04e-7;

    /// <inheritdoc/>
    public PortAnswer Run(PortCase portCase)
    {
        ArgumentNullException.ThrowIfNull(portCase);
        try
        {
            return portCase.ElementType switch
            {
                ElementType.F32 => Run(portCase, value => (float)value, value => value),
                ElementType.F16 => Run(portCase, value => (Half)value, value => (double)value),
                ElementType.BF16 => Run(portCase, value => (BFloat16)(float)value, value => (float)value),
                _ => new PortAnswer.Unsupported($"dtypes:{ProtocolNames.Of(portCase.ElementType)}"),
            };
        }
        catch (Exception error) when (error is ArgumentException or InvalidOperationException or PlatformNotSupportedException)
        {
            return new PortAnswer.Failed(PortFailureKind.Error, error.Message);
        }
    }

    private PortAnswer Run<T>(PortCase portCase, Func<double, T> narrow, Func<T, double> widen)
        where T : unmanaged
    {
        T[] q = Narrowed(portCase.Input.Query), k = Narrowed(portCase.Input.Key), v = Narrowed(portCase.Input.Value);
        byte[] valid = portCase.IsPadded ? [.. portCase.Input.Valid.Map(real => real ? (byte)1 : (byte)0).Elements] : [];
        T[] o = new T[q.Length];
        float[] lse = new float[o.Length / portCase.Config.HeadDim];

        // What is not written shows.
        Array.Fill(o, narrow(double.NaN));
        Array.Fill(lse, float.NaN);
        using S2AttentionPlan plan = new(portCase.Config, options);
        plan.Forward<T>(q, k, v, o, lse, valid);
        if (portCase.Operation is PortOperation.Forward)
        {
            ImmutableArray<int> shape = portCase.Input.Query.Shape;
            return new PortAnswer.Forward(
                Tensor<double>.Build(shape.AsSpan(), i => widen(o[i])),
                [Tensor<double>.Build(shape.AsSpan()[..3], i => lse[i])]);
        }

        float[] dq = Poisoned(q.Length), dk = Poisoned(k.Length), dv = Poisoned(v.Length);
        plan.Backward<T>(q, k, v, o, lse, Narrowed(portCase.OutputGradient[0]), dq, dk, dv, valid);
        return new PortAnswer.Backward(new(Rounded(portCase.Input.Query, dq), Rounded(portCase.Input.Key, dk), Rounded(portCase.Input.Value, dv)));

        T[] Narrowed(Tensor<double> tensor) => [.. tensor.Map(narrow).Elements];

        float[] Poisoned(int length) => [.. Enumerable.Repeat(float.NaN, length)];

        Tensor<double> Rounded(Tensor<double> like, float[] values) => Tensor<double>.Build(like.Shape.AsSpan(), i => portCase.ElementType.Round(values[i]));
    }

    /// <inheritdoc/>
    public void Dispose()
    {
    }
}
