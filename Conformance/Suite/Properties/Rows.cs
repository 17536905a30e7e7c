// How are rows of a case named, changed and compared?
using S2Attn.Conformance.Ports;
using S2Attn.Reference;
using S2Attn.Spec;

namespace S2Attn.Conformance.Properties;

/// <summary>A row of o: batch entry, token, query head.</summary>
internal readonly record struct Row(int B, int T, int H)
{
    public override string ToString() => $"[{B},{T},{H}]";
}

internal static class Rows
{
    /// <summary>All rows of o in row-major order.</summary>
    public static IEnumerable<Row> Of(S2Config config) =>
        from b in Enumerable.Range(0, config.Batch)
        from t in Enumerable.Range(0, config.Tokens)
        from h in Enumerable.Range(0, config.Heads)
        select new Row(b, t, h);

    /// <summary>Whether a row sees key u of batch entry b.</summary>
    public static bool Sees(Probe probe, Row row, int b, int u) =>
        row.B == b && probe.Input.Valid[b, u] && Visibility.Visible(probe.Config, row.H, row.T, u);

    /// <summary>The keys that a row sees.</summary>
    public static IEnumerable<int> Keys(Probe probe, Row row) => Enumerable.Range(0, probe.Config.Tokens).Where(u => Sees(probe, row, row.B, u));

    /// <summary>A tensor [B,N,heads,D] with other elements: change(b, token, head, d, old).</summary>
    public static Tensor<double> Change(Tensor<double> tensor, Func<int, int, int, int, double, double> change)
    {
        int tokens = tensor.Shape[1], heads = tensor.Shape[2], dim = tensor.Shape[3];
        double[] elements = [.. tensor.Elements];
        return Tensor<double>.Build(tensor.Shape.AsSpan(), i =>
        {
            (int vector, int d) = Math.DivRem(i, dim);
            (int token, int head) = Math.DivRem(vector, heads);
            (int b, int t) = Math.DivRem(token, tokens);
            return change(b, t, head, d, elements[i]);
        });
    }

    /// <summary>The input with k and v changed at the tokens of a set.</summary>
    public static AttentionInput<double> ChangeKeys(AttentionInput<double> input, Func<int, int, bool> at, Func<double, double> key, Func<double, double> value) => input with
    {
        Key = Change(input.Key, (b, t, _, _, old) => at(b, t) ? key(old) : old),
        Value = Change(input.Value, (b, t, _, _, old) => at(b, t) ? value(old) : old),
    };

    /// <summary>The rows whose o or logsumexp differ in any bit, with what they were and are.</summary>
    public static IEnumerable<(Row Row, string Difference)> Changed(S2Config config, PortAnswer.Forward before, PortAnswer.Forward after)
    {
        foreach (Row row in Of(config))
        {
            ReadOnlySpan<double> old = before.Output.Row(row.B, row.T, row.H), now = after.Output.Row(row.B, row.T, row.H);
            int d = FirstDifference(old, now);
            if (d >= 0)
                yield return (row, FormattableString.Invariant($"o[{row.B},{row.T},{row.H},{d}] was {old[d]:R} and became {now[d]:R}"));
            else if (!before.LogSumExp.IsEmpty && !after.LogSumExp.IsEmpty && !Same(before.LogSumExp[0][row.B, row.T, row.H], after.LogSumExp[0][row.B, row.T, row.H]))
                yield return (row, FormattableString.Invariant($"lse{row} was {before.LogSumExp[0][row.B, row.T, row.H]:R} and became {after.LogSumExp[0][row.B, row.T, row.H]:R}"));
        }
    }

    /// <summary>The offset of the first element that differs in any bit, or -1. All NaN are one value.</summary>
    public static int FirstDifference(ReadOnlySpan<double> a, ReadOnlySpan<double> b)
    {
        for (int i = 0; i < a.Length; i++)
            if (!Same(a[i], b[i]))
                return i;
        return -1;
    }

    private static bool Same(double a, double b) => BitConverter.DoubleToInt64Bits(a) == BitConverter.DoubleToInt64Bits(b) || (double.IsNaN(a) && double.IsNaN(b));

    /// <summary>Elements of two answers that lie further apart than the sum of two bounds.</summary>
    public static IEnumerable<string> Apart(string name, Tensor<double> a, Tensor<double> b, Tensor<double> boundA, Tensor<double> boundB, string what)
    {
        for (int i = 0; i < a.Elements.Length; i++)
        {
            double x = a.Elements[i], y = b.Elements[i], bound = boundA.Elements[i] + boundB.Elements[i];
            if (x.Equals(y) || x == y || double.IsPositiveInfinity(bound) || Math.Abs(x - y) <= bound)
                continue;
            yield return FormattableString.Invariant($"{name}[{Index(i, a)}] is {x:R}, and {y:R} {what}; the error bounds allow {bound:G3}");
        }
    }

    private static string Index(int offset, Tensor<double> tensor)
    {
        int[] index = new int[tensor.Shape.Length];
        for (int axis = index.Length - 1; axis >= 0; axis--)
            (offset, index[axis]) = Math.DivRem(offset, tensor.Shape[axis]);
        return string.Join(",", index);
    }
}
