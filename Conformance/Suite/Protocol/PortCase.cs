// What is asked of a port?
using System.Collections.Immutable;
using S2Attn.Reference;
using S2Attn.Spec;

namespace S2Attn.Conformance.Protocol;

/// <summary>
/// One question to a port. Values are carried as double whatever the format; each is a number of <paramref name="ElementType"/>, and so must the
/// answer's be.
/// </summary>
/// <param name="Config">The configuration.</param>
/// <param name="ElementType">The storage format of every tensor.</param>
/// <param name="Input">q, k, v and the valid keys.</param>
/// <param name="OutputGradient">do [B,N,H,D] for the backward pass; empty for the forward pass.</param>
public sealed record PortCase(S2Config Config, ElementType ElementType, AttentionInput<double> Input, ImmutableArray<Tensor<double>> OutputGradient)
{
    /// <summary>A forward case.</summary>
    public PortCase(S2Config config, ElementType elementType, AttentionInput<double> input)
        : this(config, elementType, input, [])
    {
    }

    private readonly S2Slice? slice;

    /// <summary>The part of the sequence that is asked, whose rows and keys the tensors are; the whole where nothing is said.</summary>
    public S2Slice Part
    {
        get => slice ?? S2Slice.Whole(Config);
        init => (Config, slice) = (value.Config, value == S2Slice.Whole(value.Config) ? null : value);
    }

    /// <summary>Whether less than the whole is asked, or a text that may still grow.</summary>
    public bool IsSlice => slice is not null;

    private readonly S2Grid? grid;

    /// <summary>The axes on which the tokens stand; null where they are a text. The configuration's own G and S then say nothing.</summary>
    public S2Grid? Grid
    {
        get => grid;
        init => (Config, grid) = (value?.Tokens ?? Config, value);
    }

    /// <summary>dlse [B,N,H] for the backward pass, where lse has a gradient of its own; empty where it has none.</summary>
    public ImmutableArray<Tensor<double>> LogSumExpGradient { get; init; } = [];

    /// <summary>dlse, or zeros.</summary>
    public Tensor<double> LogSumExpGradientOrZero => LogSumExpGradient.IsEmpty ? Tensor<double>.Build(Input.Query.Shape.AsSpan()[..3], _ => 0) : LogSumExpGradient[0];

    /// <summary>How the tensors are to lie in memory; values are the same wherever they lie.</summary>
    public CaseMemory Memory { get; init; } = CaseMemory.Dense;

    /// <summary>Backward where do is given, else forward.</summary>
    public PortOperation Operation => OutputGradient.IsEmpty ? PortOperation.Forward : PortOperation.Backward;

    /// <summary>Whether some key is padded.</summary>
    public bool IsPadded => Input.Valid.Elements.Contains(false);
}
