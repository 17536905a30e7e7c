// How does a gradient change a parameter?
using System.Collections.Immutable;
using System.Runtime.Intrinsics;
using S2Attn.Experiments.Model;
using S2Attn.Experiments.Numerics;

namespace S2Attn.Experiments.Training;

/// <summary>AdamW (arXiv 1711.05101) with beta 0.9 and 0.95; gradients of a norm above 1 are shortened to it; matrices decay, gains of norms do not.</summary>
internal sealed class AdamW
{
    private const float Beta1 = 0.9f, Beta2 = 0.95f, Epsilon = 1e-8f, Decay = 0.1f;
    private const double LargestNorm = 1;

    private readonly ImmutableArray<Parameter> parameters;

    public AdamW(ImmutableArray<Parameter> parameters)
    {
        this.parameters = parameters;
        Means = [.. parameters.Select(parameter => new float[parameter.Values.Length])];
        Squares = [.. parameters.Select(parameter => new float[parameter.Values.Length])];
    }

    /// <summary>The running means of the gradients.</summary>
    public ImmutableArray<float[]> Means { get; }

    /// <summary>The running means of their squares.</summary>
    public ImmutableArray<float[]> Squares { get; }

    /// <summary>One step, the <paramref name="step"/>-th from 1.</summary>
    public void Step(int step, double learningRate)
    {
        double squares = 0;
        foreach (Parameter parameter in parameters)
            foreach (float gradient in parameter.Gradient)
                squares += (double)gradient * gradient;
        float shortened = (float)(LargestNorm / Math.Max(LargestNorm, Math.Sqrt(squares)));
        // Products, because the runtime's powers differ between machines.
        double power1 = 1, power2 = 1;
        for (int i = 0; i < step; i++)
        {
            power1 *= Beta1;
            power2 *= Beta2;
        }

        float rate = (float)(learningRate / (1 - power1)), root = (float)(1 / Math.Sqrt(1 - power2));
        for (int i = 0; i < parameters.Length; i++)
            Change(parameters[i], Means[i], Squares[i], shortened, rate, root, parameters[i].IsGain ? 1 : (float)(1 - learningRate * Decay));
    }

    private static void Change(Parameter parameter, float[] means, float[] squares, float shortened, float rate, float root, float kept)
    {
        float[] values = parameter.Values;
        for (int i = 0; i < values.Length; i += Rows.Lanes)
        {
            Vector256<float> gradient = Rows.Load(parameter.Gradient, i) * shortened;
            Vector256<float> mean = Rows.Load(means, i) * Beta1 + gradient * (1 - Beta1);
            Vector256<float> square = Rows.Load(squares, i) * Beta2 + gradient * gradient * (1 - Beta2);
            mean.CopyTo(means, i);
            square.CopyTo(squares, i);
            (Rows.Load(values, i) * kept - mean * rate / (Vector256.Sqrt(square) * root + Vector256.Create(Epsilon))).CopyTo(values, i);
        }
    }
}
