// The SIMD kernels of this project as a port: what the suite says of them, it says as of any other implementation.
using System.Collections.Immutable;
using S2Attn.Optimized;
using S2Attn.Reference;
using S2Attn.Spec;

namespace S2Attn.Conformance.Ports;

/// <summary>S2AttentionPlan behind the interface of a port. A plan is made for each case; its backward pass starts from its own forward pass.</summary>
/// <param name="options">How plans run; layout and strides are those of the case.</param>
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
            HeadMajor = true,
            Packed = true,
            Slices = true,
            LogSumExpGradient = true,
            Phases = true,
            Grids = true,
            Prefixes = true,
            Strides = [.. Enum.GetValues<StrideKind>()],
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
        where T : unmanaged, IEquatable<T>
    {
        Storage<T> q = Read("q", portCase.Input.Query), k = Read("k", portCase.Input.Key), v = Read("v", portCase.Input.Value);
        byte[] valid = portCase.IsPadded ? [.. portCase.Input.Valid.Map(real => real ? (byte)1 : (byte)0).Elements] : [];

        // What is not written shows, and what is written between the rows.
        Storage<T> o = Written("o", portCase.Input.Query.Shape, narrow);
        Storage<float> lse = Written("lse", portCase.Input.Query.Shape[..3], value => (float)value);
        S2AttentionOptions placed = Placed(portCase);
        using S2AttentionPlan plan = portCase.Grid is { } grid ? S2AttentionPlan.OfGrid(grid, placed)
            : portCase.IsSlice ? S2AttentionPlan.OfSlice(portCase.Part, placed)
            : portCase.Memory.Starts.IsEmpty ? new(portCase.Config, placed)
            : S2AttentionPlan.Packed(portCase.Config.ToRequest(), portCase.Memory.Starts.AsSpan(), placed);
        plan.Forward<T>(q.Rows, k.Rows, v.Rows, o.Rows, lse.Rows, valid);
        if (portCase.Operation is PortOperation.Forward)
            return o.Touched(narrow(TensorView.Untouched)) ?? lse.Touched((float)TensorView.Untouched)
                ?? (PortAnswer)new PortAnswer.Forward(o.Gather(widen), [lse.Gather(value => value)]);

        Storage<float> dq = Gradient("dq", portCase.Input.Query), dk = Gradient("dk", portCase.Input.Key), dv = Gradient("dv", portCase.Input.Value);
        float[] logSumExpGradient = [.. portCase.LogSumExpGradient.SelectMany(gradient => gradient.Elements.ToArray()).Select(value => (float)value)];
        plan.Backward<T>(q.Rows, k.Rows, v.Rows, o.Rows, lse.Rows, Read("do", portCase.OutputGradient[0]).Rows, dq.Rows, dk.Rows, dv.Rows, valid, logSumExpGradient);
        const float Untouched = (float)TensorView.Untouched;
        return dq.Touched(Untouched) ?? dk.Touched(Untouched) ?? dv.Touched(Untouched) ?? (PortAnswer)new PortAnswer.Backward(new(Rounded(dq), Rounded(dk), Rounded(dv)));

        Storage<T> Read(string name, Tensor<double> tensor)
        {
            TensorView view = portCase.Memory.ViewOf(name, tensor.Shape.AsSpan());
            return new(name, view, tensor.Shape, view.Scatter(narrow(double.NaN), narrow, tensor));
        }

        Storage<TElement> Written<TElement>(string name, ImmutableArray<int> shape, Func<double, TElement> convert)
            where TElement : IEquatable<TElement>
        {
            TensorView view = portCase.Memory.ViewOf(name, shape.AsSpan());
            return new(name, view, shape, view.Scatter(convert(TensorView.Untouched), convert, Tensor<double>.Build(shape.AsSpan(), _ => double.NaN)));
        }

        Storage<float> Gradient(string name, Tensor<double> like) => Written(name, like.Shape, value => (float)value);

        Tensor<double> Rounded(Storage<float> gradient) => gradient.Gather(value => portCase.ElementType.Round(value));
    }

    // Where one tensor has a view, every other one is said to be dense: what a plan takes for those that are not given is no concern of a case.
    private S2AttentionOptions Placed(PortCase portCase)
    {
        CaseMemory memory = portCase.Memory;
        ImmutableArray<int> query = portCase.Input.Query.Shape, key = portCase.Input.Key.Shape;
        return options with
        {
            Layout = memory.HeadMajor ? TensorLayout.HeadMajor : options.Layout,
            Query = Of("q", query),
            Key = Of("k", key),
            Value = Of("v", key),
            Output = Of("o", query),
            LogSumExp = Of("lse", query[..3]),
            OutputGradient = Of("do", query),
            QueryGradient = Of("dq", query),
            KeyGradient = Of("dk", key),
            ValueGradient = Of("dv", key),
        };

        TensorStrides? Of(string name, ImmutableArray<int> shape)
        {
            TensorView view = memory.ViewOf(name, shape.AsSpan());
            return memory.Views.IsEmpty ? null : new(view.Batch, view.Token, view.Head);
        }
    }

    /// <summary>The memory of one tensor.</summary>
    private readonly record struct Storage<T>(string Name, TensorView View, ImmutableArray<int> Shape, T[] Elements)
        where T : IEquatable<T>
    {
        /// <summary>From the lowest element of a row to the highest.</summary>
        public Span<T> Rows => Elements.AsSpan((int)View.First(Shape.AsSpan())..(int)View.End(Shape.AsSpan()));

        /// <summary>A failure where something between the rows was written.</summary>
        public PortAnswer.Failed? Touched(T untouched) => View.FirstTouched(value => value.Equals(untouched), Shape.AsSpan(), Elements) is >= 0 and int place
            ? new(PortFailureKind.Output, $"{Name} was written between its rows: element {place} of its storage")
            : null;

        /// <summary>The tensor.</summary>
        public Tensor<double> Gather(Func<T, double> widen) => View.Gather(widen, Shape.AsSpan(), Elements);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
    }
}
