// Does a whole layer of upstream equal projections, rotation and Reference put together?
using S2Attn.Conformance.Ports;
using S2Attn.Conformance.Safetensors;
using S2Attn.Reference;
using S2Attn.Spec;

namespace S2Attn.Conformance.Golden;

/// <summary>
/// The layer around the attention core: q, k, v = x W^T + b, rotated by cos and sin in pairs (i, i + rotaryDim / 2), and y = o W^T + b. Where the file holds what passed through
/// the core, each step is checked from the step's own input, within (E + 6) u sum |x W| for u of the case's type; a file without them is checked from x to y, in f64 alone.
/// </summary>
internal static class GoldenLayer
{
    public static IEnumerable<string> Failures(GoldenCase golden, SafetensorsFile file)
    {
        S2Config config = golden.Config;
        Tensor<double> x = GoldenSuite.Values(golden, file, "x");
        if (file.TryGet("q", out _))
        {
            foreach ((string name, string weights, int heads) in new[] { ("q", "wq", config.Heads), ("k", "wk", config.KvHeads), ("v", "wv", config.KvHeads) })
                if (Step(name, GoldenSuite.Values(golden, file, name), heads, Head(weights, heads, rotated: name != "v")) is { } failure)
                    yield return failure;
            Tensor<double> o = GoldenSuite.Values(golden, file, "o");
            Projection output = new(golden, file, "wo", "bo");
            if (Step("y", GoldenSuite.Values(golden, file, "y"), 1, (b, t, _, e) => output.Apply(Row(o, b, t), e)) is { } wrong)
                yield return wrong;
        }
        else if (golden.ToleranceClass == "f64")
        {
            AttentionInput<double> input = new(Tensor("wq", config.Heads, true), Tensor("wk", config.KvHeads, true), Tensor("wv", config.KvHeads, false));
            Tensor<double> o = new GoldenProfile(golden, input).Output;
            Projection output = new(golden, file, "wo", "bo");
            Tensor<double> y = GoldenSuite.Values(golden, file, "y");
            Tensor<double> exact = Reference.Tensor<double>.Build(y.Shape.AsSpan(), i => output.Apply(Row(o, i / y.Shape[2] / y.Shape[1], i / y.Shape[2] % y.Shape[1]), i % y.Shape[2]).Value);
            if (GoldenSuite.Disagreement("y", y, exact, exact.Map(_ => 0.0), GoldenSuite.DoubleTolerance) is { } failure)
                yield return failure;
        }

        Tensor<double> Tensor(string weights, int heads, bool rotated)
        {
            var head = Head(weights, heads, rotated);
            int[] shape = [config.Batch, config.Tokens, heads, config.HeadDim];
            return Reference.Tensor<double>.Build(shape, i =>
            {
                int d = i % config.HeadDim, h = i / config.HeadDim % heads, t = i / config.HeadDim / heads % config.Tokens;
                return head(i / config.HeadDim / heads / config.Tokens, t, h, d).Value;
            });
        }

        // Element d of a head after projection and rotation.
        Func<int, int, int, int, (double Value, double Size)> Head(string weights, int heads, bool rotated)
        {
            Projection projection = new(golden, file, weights, "b" + weights[1..]);
            Tensor<double> cos = GoldenSuite.Values(golden, file, "cos"), sin = GoldenSuite.Values(golden, file, "sin");
            int rotary = cos.Shape[1], half = rotary / 2;
            return (b, t, h, d) =>
            {
                double[] row = Row(x, b, t);
                (double value, double size) = projection.Apply(row, h * config.HeadDim + d);
                if (!rotated || d >= rotary)
                    return (value, size);
                (double other, double otherSize) = projection.Apply(row, h * config.HeadDim + (d < half ? d + half : d - half));
                double turned = d < half ? -other : other;
                return (value * cos[t, d] + turned * sin[t, d], size * Math.Abs(cos[t, d]) + otherSize * Math.Abs(sin[t, d]));
            };
        }

        string? Step(string name, Tensor<double> computed, int heads, Func<int, int, int, int, (double Value, double Size)> element)
        {
            int width = computed.Shape[^1];
            (double Value, double Size)[] exact = new (double, double)[computed.Elements.Length];
            for (int i = 0; i < exact.Length; i++)
                exact[i] = element(i / width / heads / config.Tokens, i / width / heads % config.Tokens, i / width % heads, i % width);
            double u = (x.Shape[2] + 6) * Math.Max(golden.SumType.UnitRoundoff(), golden.ElementType.UnitRoundoff());
            return GoldenSuite.Disagreement(
                name, computed, Reference.Tensor<double>.Build(computed.Shape.AsSpan(), i => exact[i].Value), Reference.Tensor<double>.Build(computed.Shape.AsSpan(), i => u * exact[i].Size), relative: 0);
        }
    }

    // All elements of a token: x [B,N,E], or o [B,N,H,D] with the heads side by side.
    private static double[] Row(Tensor<double> tensor, int b, int t)
    {
        int width = tensor.Elements.Length / (tensor.Shape[0] * tensor.Shape[1]);
        return tensor.Elements.Slice((b * tensor.Shape[1] + t) * width, width).ToArray();
    }

    /// <summary>x W^T + b, where the file has a bias.</summary>
    private sealed class Projection(GoldenCase golden, SafetensorsFile file, string weights, string bias)
    {
        private readonly Tensor<double> matrix = GoldenSuite.Values(golden, file, weights);
        private readonly double[] biases = file.TryGet(bias, out SafetensorsTensor? given) ? given.Values.Elements.ToArray() : [];

        /// <summary>Element e of the product, and the sum of the sizes of its terms.</summary>
        public (double Value, double Size) Apply(double[] row, int e)
        {
            double sum = biases.Length > 0 ? biases[e] : 0, size = Math.Abs(sum);
            for (int i = 0; i < row.Length; i++)
            {
                sum += row[i] * matrix[e, i];
                size += Math.Abs(row[i] * matrix[e, i]);
            }

            return (sum, size);
        }
    }
}
