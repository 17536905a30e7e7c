// What is measured of the ways into the kernel, and when is one slow?
using System.Collections.Immutable;
using System.Text.Json.Serialization;
using S2Attn.Spec;

namespace S2Attn.Conformance.Bench;

/// <summary>How the kernel can be called other than from .NET.</summary>
public enum KernelWay
{
    /// <summary>libs2attn.so, in this process.</summary>
    C,

    /// <summary>The operator s2attn::S2Attention in ONNX Runtime, in this process; forward alone.</summary>
    Onnx,

    /// <summary>s2attn under PyTorch, with autograd, in a process of its own that takes its turns when told.</summary>
    Python,
}

/// <summary>One row: LocalCausal, f32, one thread, G = N/4 as LongLoRA chooses it, the second half of the heads shifts.</summary>
public sealed record ThroughCase(KernelWay Way, int Tokens, int Heads, int HeadDim, bool WithBackward)
{
    private static readonly bool[] ForwardAlone = [false], BothPasses = [false, true];

    /// <summary>G.</summary>
    public int GroupSize => Tokens / 4;

    /// <summary>The configuration.</summary>
    public S2Config Config => S2Config.Create(new S2Request { Tokens = Tokens, Heads = Heads, HeadDim = HeadDim, GroupSize = GroupSizeRule.Of(GroupSize), Mask = MaskPolicy.LocalCausal });

    /// <summary>The rows of a way: N from 256 to <paramref name="maxTokens"/> in steps of four times.</summary>
    public static ImmutableArray<ThroughCase> Of(KernelWay way, int maxTokens) =>
    [
        .. Enumerable.Range(0, 8).Select(power => 256 << (2 * power)).TakeWhile(tokens => tokens <= maxTokens)
            .SelectMany(_ => way is KernelWay.Onnx ? ForwardAlone : BothPasses, (tokens, withBackward) => new ThroughCase(way, tokens, 8, 128, withBackward)),
    ];
}

/// <summary>One measured row. Each time is the least of many turns, which what else runs on the machine cannot make smaller.</summary>
public sealed record ThroughResult
{
    /// <summary>From how many tokens on a row is judged: below, the fixed cost of a call is not small beside the work.</summary>
    public const int JudgedFrom = 1024;

    /// <summary>c, onnx or python.</summary>
    public required string Way { get; init; }

    /// <summary>forward, or forward+backward.</summary>
    public required string Pass { get; init; }

    /// <summary>N.</summary>
    public required int Tokens { get; init; }

    /// <summary>G.</summary>
    public required int GroupSize { get; init; }

    /// <summary>Turns that each had.</summary>
    public required int Rounds { get; init; }

    /// <summary>A direct call from .NET, in seconds.</summary>
    public required double DirectSeconds { get; init; }

    /// <summary>The same through the way, in seconds.</summary>
    public required double Seconds { get; init; }

    /// <summary>How many times the way is faster than LongLoRA's eager composition of ONNX's own operators; for the way onnx alone.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public double? VsEager { get; init; }

    /// <summary>How many times the way is faster than the graph that `s2attn graph` writes, which keeps masked values out at the price of N G H D elements; absent where they are too many.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public double? VsGraph { get; init; }

    /// <summary>The speed through the way as a share of the direct call's.</summary>
    public double Share => DirectSeconds / Seconds;

    /// <summary>Whether the row is too small to be judged, or reaches this share.</summary>
    public bool Reaches(double least) => Tokens < JudgedFrom || Share >= least;
}
