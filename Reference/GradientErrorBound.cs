// How far may a rounded computation of dq, dk, dv lie from the derivative of the definition?
using System.Numerics;
using S2Attn.Spec;

namespace S2Attn.Reference;

/// <summary>Exact gradients, and beside each the largest error that the arithmetic allows (infinite where it may overflow).</summary>
public sealed record BoundedGradients(Gradients<double> Exact, Gradients<double> Bound);

/// <summary>
/// The forward error bound of a backward pass that recomputes the weights from logsumexp: p = exp(s - lse), delta = do.o from the stored o,
/// ds = p (do.v - delta). docs/error-bounds.md derives each line; sources as for <see cref="ErrorBound"/>.
/// </summary>
public static class GradientErrorBound
{
    /// <summary>dq, dk, dv and their bounds for an implementation that rounds as the model says, o and logsumexp included.</summary>
    /// <exception cref="ArgumentException">A tensor does not have the shape that the configuration asks for.</exception>
    public static BoundedGradients Backward<T>(S2Config config, AttentionInput<T> input, Tensor<T> outputGradient, RoundingModel model)
        where T : IBinaryFloatingPointIeee754<T>
    {
        ArgumentNullException.ThrowIfNull(config);
        return Backward(config, input, outputGradient, Tensor<T>.Build([config.Batch, config.Tokens, config.Heads], _ => T.Zero), model);
    }

    /// <summary>The same where lse has a gradient dlse [B,N,H] too, and the implementation takes delta = do.o - dlse.</summary>
    /// <exception cref="ArgumentException">A tensor does not have the shape that the configuration asks for.</exception>
    public static BoundedGradients Backward<T>(S2Config config, AttentionInput<T> input, Tensor<T> outputGradient, Tensor<T> logSumExpGradient, RoundingModel model)
        where T : IBinaryFloatingPointIeee754<T>
    {
        ArgumentNullException.ThrowIfNull(config);
        return Backward(S2Slice.Whole(config), input, outputGradient, logSumExpGradient, model);
    }

    /// <summary>The same for a part of a sequence: dk and dv are this slice's shares. The bounds of shares that make up the whole add up to one of their sum.</summary>
    /// <exception cref="ArgumentException">A tensor does not have the shape that the slice asks for.</exception>
    public static BoundedGradients Backward<T>(S2Slice slice, AttentionInput<T> input, Tensor<T> outputGradient, Tensor<T> logSumExpGradient, RoundingModel model)
        where T : IBinaryFloatingPointIeee754<T>
        => Both(slice, input, outputGradient, logSumExpGradient, model).Gradients;

    /// <summary>Both passes: what <see cref="ErrorBound.Forward{T}(S2Slice, AttentionInput{T}, RoundingModel)"/> gives, from the rows that the gradients need anyway, and the gradients.</summary>
    /// <exception cref="ArgumentException">A tensor does not have the shape that the slice asks for.</exception>
    public static (BoundedOutput Output, BoundedGradients Gradients) Both<T>(
        S2Slice slice, AttentionInput<T> input, Tensor<T> outputGradient, Tensor<T> logSumExpGradient, RoundingModel model)
        where T : IBinaryFloatingPointIeee754<T>
    {
        ArgumentNullException.ThrowIfNull(slice);
        ArgumentNullException.ThrowIfNull(input);
        ArgumentNullException.ThrowIfNull(outputGradient);
        ArgumentNullException.ThrowIfNull(logSumExpGradient);
        ArgumentNullException.ThrowIfNull(model);
        S2Config config = slice.Config;
        GradientSums<T> sums = new(slice, input, outputGradient, logSumExpGradient);
        int queryVectors = config.Batch * slice.QueryCount * config.Heads;
        int keyVectors = config.Batch * slice.KeyCount * config.KvHeads;
        Sums dq = new(queryVectors, config.HeadDim), dk = new(keyVectors, config.HeadDim), dv = new(keyVectors, config.HeadDim);
        VisibleKeys visible = new(slice);
        BoundedRows rows = new(slice);
        for (int b = 0; b < config.Batch; b++)
            for (int h = 0; h < config.Heads; h++)
                for (int t = slice.Queries.Start; t < slice.Queries.End; t++)
                {
                    BoundedRow row = ErrorBound.Row(visible, input, b, t, h, model);
                    rows.Put(row, b, t, h);
                    AddRow(row, sums.Add(row.Row, b, t, h), visible, input, outputGradient, double.CreateTruncating(logSumExpGradient[b, t - slice.Queries.Start, h]), b, t, h, model, dq, dk, dv);
                }

        Gradients<T> rounded = sums.Rounded();
        Gradients<double> exact = new(rounded.Query.Map(double.CreateTruncating), rounded.Key.Map(double.CreateTruncating), rounded.Value.Map(double.CreateTruncating));
        double scale = Math.Abs(config.Scale);
        int sharing = config.Heads / config.KvHeads;
        return (rows.Output(), new(exact, new(dq.Bound(exact.Query, scale, 1, model), dk.Bound(exact.Key, scale, sharing, model), dv.Bound(exact.Value, 1, sharing, model))));
    }

    private static void AddRow<T>(
        BoundedRow row, double[] products, VisibleKeys visible, AttentionInput<T> input, Tensor<T> outputGradient, double dlse, int b, int t, int h, RoundingModel model, Sums dq, Sums dk, Sums dv)
        where T : IBinaryFloatingPointIeee754<T>
    {
        S2Slice slice = visible.Slice;
        S2Config config = slice.Config;
        int keys = row.Row.Keys.Count, kvHead = config.KvHeadOf(h), queryRow = t - slice.Queries.Start;
        ReadOnlySpan<T> query = input.Query.Row(b, queryRow, h), dout = outputGradient.Row(b, queryRow, h);
        int queryVector = Layout.Row(slice.QueryCount, config.Heads, 1, b, queryRow, h);
        if (keys == 0)
        {
            // A row that sees keys but no finite score has weights of 0 and infinite operands: what their products give is not judged.
            foreach (int u in visible.Of(input, b, t, h))
            {
                int vector = Layout.Row(slice.KeyCount, config.KvHeads, 1, b, u - slice.Keys.Start, kvHead);
                dq.Add(queryVector, 0, double.PositiveInfinity, query);
                dk.Add(vector, 0, double.PositiveInfinity, query);
                dv.Add(vector, 0, double.PositiveInfinity, query);
            }

            return;
        }

        ReadOnlySpan<int> seen = row.Row.KeySpan;
        ReadOnlySpan<double> weights = row.Row.WeightSpan;
        double[] weightErrors = WeightErrors(row, model);
        double[] magnitudes = new double[keys];
        for (int i = 0; i < keys; i++)
            magnitudes[i] = ErrorBound.AbsoluteDot(dout, input.Value.Row(b, seen[i] - slice.Keys.Start, kvHead)).Dot;

        (double delta, double deltaError) = Delta(config, row, dout, products, magnitudes, weightErrors, model);
        if (dlse != 0)
        {
            // One more term of the chain: do.o - dlse is rounded once.
            deltaError += model.Gamma(1) * (Math.Abs(delta) + deltaError + Math.Abs(dlse)) + model.Underflow;
            delta -= dlse;
        }

        double stored = model.StoresWeights ? model.Storage.Unit : 0;
        double storedUnderflow = model.StoresWeights ? model.Storage.Underflow : 0;
        double dotGamma = model.Gamma(config.HeadDim + 2), twice = model.Gamma(2);
        for (int i = 0; i < keys; i++)
        {
            // ds = p (dp - delta): dp - delta may be one chain of D + 1 terms or a difference.
            double p = weights[i], difference = products[i] - delta;
            double differenceError = deltaError + dotGamma * (magnitudes[i] + Math.Abs(delta) + deltaError)
                + stored * magnitudes[i] + storedUnderflow + (config.HeadDim + 2) * model.Underflow;
            double largest = (p + weightErrors[i]) * (Math.Abs(difference) + differenceError);
            double gradient = p * difference;
            double gradientError = weightErrors[i] * Math.Abs(difference) + (p + weightErrors[i]) * differenceError
                + (twice + 2 * stored) * largest + model.Underflow + storedUnderflow;
            if (Math.Max(largest, Math.Max(magnitudes[i], Math.Abs(delta))) > model.Largest / 2)
                gradientError = double.PositiveInfinity;

            int keyRow = seen[i] - slice.Keys.Start, keyVector = Layout.Row(slice.KeyCount, config.KvHeads, 1, b, keyRow, kvHead);
            dq.Add(queryVector, gradient, gradientError, input.Key.Row(b, keyRow, kvHead));
            dk.Add(keyVector, gradient, gradientError, query);
            dv.Add(keyVector, p, weightErrors[i] + stored * (p + weightErrors[i]), dout);
        }
    }

    /// <summary>|computed p - p|: the weight's own log-error, the error of lse and of its change of base, and the rounding of the argument s - lse.</summary>
    private static double[] WeightErrors(BoundedRow row, RoundingModel model)
    {
        double common = row.LogSumExpBound + model.Gamma(model.LogRoundings) * Math.Abs(row.Row.LogSumExp);
        double absolute = model.ExpUnderflow + model.Underflow + (model.StoresWeights ? model.Storage.Underflow : 0);
        ReadOnlySpan<double> weights = row.Row.WeightSpan;
        double[] errors = new double[row.LogWeightBounds.Length];
        double twice = model.Gamma(2);
        for (int i = 0; i < errors.Length; i++)
        {
            double p = weights[i];
            double distance = Math.Min(-Math.Log(p), ErrorBound.Farthest);
            double log = row.LogWeightBounds[i] + common;
            log += twice * (distance + log);
            errors[i] = (p == 0 && double.IsFinite(log) ? 0 : double.IsFinite(log) ? p * double.ExpM1(log) : log) + absolute;
        }

        return errors;
    }

    /// <summary>delta = sum p dp = do.o and its error: from the stored o, or where the model leaves that open from either.</summary>
    private static (double Delta, double Error) Delta<T>(
        S2Config config, BoundedRow row, ReadOnlySpan<T> dout, double[] products, double[] magnitudes, double[] weightErrors, RoundingModel model)
        where T : IBinaryFloatingPointIeee754<T>
    {
        double delta = 0, fromWeights = 0, weighted = 0;
        ReadOnlySpan<double> weights = row.Row.WeightSpan;
        double dotGamma = model.Gamma(config.HeadDim);
        for (int i = 0; i < products.Length; i++)
        {
            double p = weights[i], error = (dotGamma + (model.StoresWeights ? model.Storage.Unit : 0)) * magnitudes[i] + config.HeadDim * model.Underflow;
            delta += p * products[i];
            fromWeights += weightErrors[i] * Math.Abs(products[i]) + (p + weightErrors[i]) * error;
            weighted += (p + weightErrors[i]) * (magnitudes[i] + error);
        }

        fromWeights += model.Gamma(model.Chain(products.Length) + 2) * weighted + products.Length * model.Underflow;
        double fromOutput = config.HeadDim * model.Underflow;
        for (int d = 0; d < config.HeadDim; d++)
        {
            double gradient = Math.Abs(double.CreateTruncating(dout[d]));
            fromOutput += gradient == 0 ? 0 : gradient * (row.OutputBound[d] + dotGamma * (Math.Abs(row.Output[d]) + row.OutputBound[d]));
        }

        return (delta, model.Recomputes ? fromOutput : Math.Max(fromOutput, fromWeights));
    }

    /// <summary>sum c x for many vectors: beside each element the error that comes with the coefficients, the sum of magnitudes, and the number of terms.</summary>
    private sealed class Sums(int vectors, int headDim)
    {
        private readonly double[] errors = new double[vectors * headDim];
        private readonly double[] magnitudes = new double[vectors * headDim];
        private readonly double[] operands = new double[vectors * headDim];
        private readonly int[] terms = new int[vectors];

        public void Add<T>(int vector, double coefficient, double error, ReadOnlySpan<T> operand)
            where T : IBinaryFloatingPointIeee754<T>
        {
            terms[vector]++;
            int start = vector * headDim;
            double largest = Math.Abs(coefficient) + error;
            Span<double> ofErrors = errors.AsSpan(start, headDim), ofMagnitudes = magnitudes.AsSpan(start, headDim), ofOperands = operands.AsSpan(start, headDim);
            for (int d = 0; d < operand.Length; d++)
            {
                double x = Math.Abs(double.CreateTruncating(operand[d]));
                ofErrors[d] += error * x;
                ofMagnitudes[d] += largest * x;
                ofOperands[d] += x;
            }
        }

        /// <summary>The bound of scale sum c x after storage; heads that share a kv head may be summed in the storage format.</summary>
        public Tensor<double> Bound(Tensor<double> exact, double scale, int sharing, RoundingModel model)
        {
            double stored = model.StoresWeights ? RoundingModel.Gamma(sharing, model.Storage.Unit) : 0;
            return Tensor<double>.Build(exact.Shape.AsSpan(), i =>
            {
                if (terms[i / headDim] == 0)
                    return 0;
                double sum = errors[i] + (model.Gamma(model.Chain(terms[i / headDim]) + 4) + stored) * magnitudes[i];

                // One underflow of each multiply-add, and two of each product with the mantissa of the scale, since a power of two that may be twice the scale multiplies it afterwards.
                double before = scale * (sum + model.Underflow * (operands[i] + 3 * terms[i / headDim])) + model.Underflow * (operands[i] + 1);
                double bound = (before + (Math.Abs(exact.Elements[i]) + before) * model.Storage.Unit + model.Storage.Underflow) * model.CoverReference;
                return double.IsNaN(bound) || bound + Math.Abs(exact.Elements[i]) > model.Storage.Largest ? double.PositiveInfinity : bound;
            });
        }
    }
}
