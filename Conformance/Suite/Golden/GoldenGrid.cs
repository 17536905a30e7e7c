// Does Reference over a grid of tokens equal what upstream computed with its windows?
using S2Attn.Conformance.Safetensors;
using S2Attn.Reference;
using S2Attn.Spec;

namespace S2Attn.Conformance.Golden;

/// <summary>Golden cases whose tokens stand on several axes: each window is judged as a text of its own, within the bound of such a text.</summary>
internal static class GoldenGrid
{
    /// <summary>Where upstream's tensors are not Reference's.</summary>
    public static IEnumerable<string> Failures(GoldenCase golden, S2Grid grid, SafetensorsFile file)
    {
        AttentionInput<double> input = GoldenSuite.InputOf(golden, file);
        Tensor<double> outputGradient = GoldenSuite.Values(golden, file, "do");
        double relative = golden.ToleranceClass == "f64" ? GoldenSuite.DoubleTolerance : 0;
        (WindowPart Part, GoldenBound Bound)[] windows =
        [
            .. GridAttention.Parts(grid, input).Select(part =>
            {
                GoldenCase alone = golden with { Config = part.Config, Grid = null };
                return (part, GoldenBound.Of(alone, new(alone, part.Input), part.Input, GridAttention.Gather(outputGradient, part.Window, part.Head)));
            }),
        ];
        Gradients<double> exact = GridAttention.Backward(grid, input, outputGradient);
        string?[] disagreements =
        [
            GoldenSuite.Disagreement("o", GoldenSuite.Values(golden, file, "o"), GridAttention.Forward(grid, input).Output, Whole(golden.Config.Heads, head => head, window => window.Output), relative),
            GoldenSuite.Disagreement("dq", GoldenSuite.Values(golden, file, "dq"), exact.Query, Whole(golden.Config.Heads, head => head, window => window.Gradients.Query), relative),
            GoldenSuite.Disagreement("dk", GoldenSuite.Values(golden, file, "dk"), exact.Key, Whole(golden.Config.KvHeads, golden.Config.KvHeadOf, window => window.Gradients.Key), relative),
            GoldenSuite.Disagreement("dv", GoldenSuite.Values(golden, file, "dv"), exact.Value, Whole(golden.Config.KvHeads, golden.Config.KvHeadOf, window => window.Gradients.Value), relative),
        ];
        return disagreements.OfType<string>();

        // The bounds of all windows in their places: those of query heads that share a kv head add up, as the gradients do.
        Tensor<double> Whole(int heads, Func<int, int> headOf, Func<GoldenBound, Tensor<double>> of)
        {
            double[] elements = new double[golden.Config.Batch * golden.Config.Tokens * heads * golden.Config.HeadDim];
            foreach ((WindowPart part, GoldenBound bound) in windows)
                GridAttention.Scatter(of(bound), part.Window, headOf(part.Head), heads, elements);
            return Tensor<double>.Of([golden.Config.Batch, golden.Config.Tokens, heads, golden.Config.HeadDim], elements);
        }
    }
}
