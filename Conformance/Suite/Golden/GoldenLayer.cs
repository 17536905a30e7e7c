// Does a whole layer of upstream equal projections, rotation and Reference put together?
using S2Attn.Conformance.Ports;
using S2Attn.Conformance.Safetensors;
using S2Attn.Reference;
using S2Attn.Spec;

namespace S2Attn.Conformance.Golden;

/// <summary>
/// The layer around the attention core: q, k, v = x W^T + b, rotated by cos and sin in pairs (i, i + rotaryDim / 2), and y = o W^T + b. Where the file holds what passed through
/// the core, each step is checked from the step's own input, within (E + 6) u sum |x W| for u of the case's type; a file without them is checked from x to y, within what
/// errors of that size in q, k and v can do: see <see cref="GoldenCarried"/>.
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
        else
        {
            (Tensor<double> Value, Tensor<double> Error) q = Tensors("wq", config.Heads, true), k = Tensors("wk", config.KvHeads, true), v = Tensors("wv", config.KvHeads, false);
            AttentionInput<double> input = new(q.Value, k.Value, v.Value);
            GoldenProfile profile = new(golden, input);
            Tensor<double> o = profile.Output, carried = GoldenCarried.Of(golden, profile, input, new(q.Error, k.Error, v.Error));
            Projection output = new(golden, file, "wo", "bo");
            Tensor<double> y = GoldenSuite.Values(golden, file, "y");
            (double Value, double Error)[] exact = new (double, double)[y.Elements.Length];
            for (int i = 0; i < exact.Length; i++)
            {
                int b = i / y.Shape[2] / y.Shape[1], t = i / y.Shape[2] % y.Shape[1], e = i % y.Shape[2];
                double[] error = Row(carried, b, t);
                (double value, double size) = output.Apply(Row(o, b, t), e);
                double sum = output.Carried(error, e);
                exact[i] = (value, sum + Unit(o.Shape[2] * o.Shape[3]) * (size + sum));
            }

            if (GoldenSuite.Disagreement("y", y, Built(y, i => exact[i].Value), Built(y, i => exact[i].Error), relative: 0) is { } failure)
                yield return failure;
        }

        static Tensor<double> Built(Tensor<double> like, Func<int, double> element) => Reference.Tensor<double>.Build(like.Shape.AsSpan(), element);

        // Of a sum of as many products, a bias and a rotation of two terms.
        double Unit(int terms) => (terms + 6) * Math.Max(golden.SumType.UnitRoundoff(), golden.ElementType.UnitRoundoff());

        (Tensor<double> Value, Tensor<double> Error) Tensors(string weights, int heads, bool rotated)
        {
            var head = Head(weights, heads, rotated);
            int[] shape = [config.Batch, config.Tokens, heads, config.HeadDim];
            return (Tensor<double>.Build(shape, i => At(i).Value), Tensor<double>.Build(shape, i => Unit(x.Shape[2]) * At(i).Size));

            (double Value, double Size) At(int i)
            {
                int d = i % config.HeadDim, h = i / config.HeadDim % heads, t = i / config.HeadDim / heads % config.Tokens;
                return head(i / config.HeadDim / heads / config.Tokens, t, h, d);
            }
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
            return GoldenSuite.Disagreement(
                name, computed, Built(computed, i => exact[i].Value), Built(computed, i => Unit(x.Shape[2]) * exact[i].Size), relative: 0);
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

        /// <summary>How far errors of a row of x can carry element e.</summary>
        public double Carried(double[] errors, int e)
        {
            double sum = 0;
            for (int i = 0; i < errors.Length; i++)
                sum += errors[i] * Math.Abs(matrix[e, i]);
            return sum;
        }

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
