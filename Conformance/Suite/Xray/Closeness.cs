// Is a number that a port returned the one that a composition of stages gives?
using S2Attn.Conformance.Ports;
using S2Attn.Reference;

namespace S2Attn.Conformance.Xray;

/// <summary>How near two numbers are that are the same: structures differ by much; rounding in the storage format does not.</summary>
internal readonly record struct Closeness(ElementType Type)
{
    private double Relative => Type is ElementType.F32 or ElementType.F64 ? 0.01 : 0.03;

    private double Absolute => Type is ElementType.F32 or ElementType.F64 ? 1e-5 : 1e-4;

    /// <summary>Whether weights are the same.</summary>
    public bool Same(ReadOnlySpan<double> own, ReadOnlySpan<double> given)
    {
        for (int i = 0; i < own.Length; i++)
            if (own[i] != given[i] && !(Math.Abs(own[i] - given[i]) <= Absolute + Relative * Math.Abs(own[i])) && !(double.IsNaN(own[i]) && double.IsNaN(given[i])))
                return false;
        return true;
    }

    /// <summary>Whether a logsumexp is the same.</summary>
    public static bool SameLogSum(double own, double given) =>
        given.Equals(own) || (double.IsFinite(own) && Math.Abs(given - own) <= 0.01 + 0.01 * Math.Abs(own)) || (own < -1e30 && given < -1e30);

    /// <summary>Whether gradients are the same. Where a row without keys is NaN, what flows back from it depends on how the mask was put on: it may be NaN or 0.</summary>
    public bool Same(Gradients<double> own, Gradients<double> given) => Near(own.Query, given.Query) && Near(own.Key, given.Key) && Near(own.Value, given.Value);

    private bool Near(Tensor<double> own, Tensor<double> given)
    {
        if (!own.Shape.AsSpan().SequenceEqual(given.Shape.AsSpan()))
            return false;
        double greatest = 1e-3;
        foreach (double value in own.Elements)
            greatest = double.IsNaN(value) ? greatest : Math.Max(greatest, Math.Abs(value));
        for (int i = 0; i < own.Elements.Length; i++)
            if (!(Math.Abs(own.Elements[i] - given.Elements[i]) <= Relative * greatest) && !double.IsNaN(own.Elements[i]))
                return false;
        return true;
    }
}
