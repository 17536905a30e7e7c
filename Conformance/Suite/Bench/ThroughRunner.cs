// How fast is the kernel through C, ONNX Runtime and PyTorch beside a direct call? Turns in one run, in a random order.
using S2Attn.Conformance.Onnx;
using S2Attn.Optimized;
using S2Attn.Spec;

namespace S2Attn.Conformance.Bench;

/// <summary>What the ways need from outside.</summary>
/// <param name="Library">libs2attn.so, for C and ONNX Runtime.</param>
/// <param name="Python">An interpreter that has torch and s2attn.</param>
public sealed record ThroughTools(string Library, string Python);

/// <summary>Measures the ways into the kernel.</summary>
public static unsafe class ThroughRunner
{
    // Several calls where one takes milliseconds: the first finds the caches as another process left them.
    private const double ShortestTurn = 0.04;

    // 256 MB of floats.
    private const long LargestGraph = 1L << 26;

    /// <summary>Measures one row for about so many seconds, with five turns at least.</summary>
    /// <exception cref="InvalidOperationException">The way cannot be opened, or computes something else than the direct call; the message says what.</exception>
    public static ThroughResult Measure(ThroughCase item, ThroughTools tools, double seconds, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(item);
        ArgumentNullException.ThrowIfNull(tools);
        using TensorMemory memory = new();
        BenchTensors<float> tensors = new(memory, item.Config, item.WithBackward, BenchNoise.Of, value => value);
        using CalledWay direct = Direct(item, tensors);
        using IKernelWay way = Open(item, tensors, tools);
        bool isOnnx = item.Way is KernelWay.Onnx, isSmall = (long)item.Tokens * item.GroupSize * item.Heads * item.HeadDim <= LargestGraph;
        using CalledWay eager = isOnnx ? OnnxWay.Open(PeerGraphs.Eager(item.Config), "", item, tensors) : Nothing();
        using CalledWay graph = isOnnx && isSmall ? OnnxWay.Open(S2AttnGraph.Build(MaskPolicy.LocalCausal, item.GroupSize, item.GroupSize / 2), "", item, tensors) : Nothing();
        CheckSameOutput(item, tensors, direct, way);

        int calls = Math.Max(1, (int)(ShortestTurn / Math.Max(1e-7, direct.Seconds(3))));
        double bestDirect = double.PositiveInfinity, best = double.PositiveInfinity, bestEager = double.PositiveInfinity, bestGraph = double.PositiveInfinity;
        Action[] turns =
        [
            () => bestDirect = Math.Min(bestDirect, direct.Seconds(calls)),
            () => best = Math.Min(best, way.Seconds(calls)),
            () => bestEager = Math.Min(bestEager, eager.Seconds(1)),
            () => bestGraph = Math.Min(bestGraph, graph.Seconds(1)),
        ];
        Random order = new(1);
        int rounds = 0;
        for (long start = Environment.TickCount64; rounds < 5 || Environment.TickCount64 - start < 1000 * seconds; rounds++)
        {
            cancellation.ThrowIfCancellationRequested();
            order.Shuffle(turns);
            Array.ForEach(turns, turn => turn());
        }

        return new()
        {
            Way = NameOf(item.Way),
            Pass = item.WithBackward ? "forward+backward" : "forward",
            Tokens = item.Tokens,
            GroupSize = item.GroupSize,
            Rounds = rounds,
            DirectSeconds = bestDirect,
            Seconds = best,
            VsEager = isOnnx ? bestEager / best : null,
            VsGraph = isOnnx && isSmall ? bestGraph / best : null,
        };
    }

    /// <summary>How a way is named on the command line and in files.</summary>
    public static string NameOf(KernelWay way) => way switch { KernelWay.C => "c", KernelWay.Onnx => "onnx", _ => "python" };

    private static CalledWay Nothing() => new(() => { });

    private static IKernelWay Open(ThroughCase item, BenchTensors<float> tensors, ThroughTools tools) => item.Way switch
    {
        KernelWay.C => CWay.Open(tools.Library, item, tensors),
        KernelWay.Onnx => OnnxWay.Open(CustomOpGraph.Build(MaskPolicy.LocalCausal, item.GroupSize, item.GroupSize / 2, ElementType.F32, HeadShift.SecondHalf, 1), tools.Library, item, tensors),
        _ => PythonTurns.OfKernel(tools.Python, item),
    };

    private static CalledWay Direct(ThroughCase item, BenchTensors<float> tensors)
    {
        S2AttentionPlan plan = new(item.Config, new S2AttentionOptions { Threads = 1 });
        return new(tensors.Call(plan), plan);
    }

    // A way that did nothing would be the fastest. Another compiler may contract differently, so bits are not compared.
    private static void CheckSameOutput(ThroughCase item, BenchTensors<float> tensors, CalledWay direct, IKernelWay way)
    {
        direct.Seconds(1);
        float[] expected = new Span<float>(tensors.Output, tensors.Elements).ToArray();
        new Span<float>(tensors.Output, tensors.Elements).Clear();
        way.Seconds(1);
        if (item.Way is KernelWay.Python)
            return;
        for (int i = 0; i < expected.Length; i++)
            if (!(Math.Abs(tensors.Output[i] - expected[i]) <= 1e-5f))
                throw new InvalidOperationException($"through {NameOf(item.Way)} at N = {item.Tokens}: o[{i}] = {tensors.Output[i]} where a direct call gives {expected[i]}");
    }
}
