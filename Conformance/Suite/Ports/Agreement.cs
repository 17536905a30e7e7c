// Does a port's answer lie within the error bound of the definition, and how much of the bound does it use?
using System.Collections.Immutable;
using S2Attn.Reference;
using S2Attn.Spec;

namespace S2Attn.Conformance.Ports;

/// <summary>How one returned tensor compares.</summary>
/// <param name="Name">"o", "lse", "dq", "dk" or "dv".</param>
/// <param name="WorstRatio">The largest error / bound: at most 1 where the tensor agrees, infinite where NaN or infinity stands for a number or the reverse.</param>
/// <param name="WorstIndex">The element where it is reached.</param>
/// <param name="Computed">The port's value there.</param>
/// <param name="Exact">The definition's value there.</param>
/// <param name="Bound">The bound there.</param>
/// <param name="Unjudged">Elements that are not judged because the arithmetic may overflow there.</param>
public sealed record TensorAgreement(
    string Name, double WorstRatio, ImmutableArray<int> WorstIndex, double Computed, double Exact, double Bound, int Unjudged)
{
    /// <summary>Whether every judged element is within its bound.</summary>
    public bool Agrees => WorstRatio <= 1;

    /// <inheritdoc/>
    public override string ToString() => FormattableString.Invariant(
        $"{Name}[{string.Join(",", WorstIndex)}] = {Computed:R}, the definition gives {Exact:R}, bound {Bound:G3}: {WorstRatio:G3} of the bound");
}

/// <summary>Compares answers with Reference under a rounding model.</summary>
public static class Agreement
{
    /// <summary>The model of any sane implementation on tensors of this type: see <see cref="RoundingModel.Composition(StorageFormat)"/>.</summary>
    public static RoundingModel ModelOf(ElementType type) => RoundingModel.Composition(StorageOf(type));

    /// <summary>The model of a port on tensors of this type: the kernels' own where the port is theirs, since it is known how they round.</summary>
    public static RoundingModel ModelOf(IAttentionPort port, S2Config config, ElementType type) =>
        port is OptimizedPort ? OptimizedPort.ModelOf(config, type) : ModelOf(type);

    /// <summary>The storage format of an element type.</summary>
    public static StorageFormat StorageOf(ElementType type) => type switch
    {
        ElementType.F32 => StorageFormat.Binary32,
        ElementType.F64 => StorageFormat.Binary64,
        ElementType.F16 => StorageFormat.Binary16,
        ElementType.BF16 => StorageFormat.BFloat16,
        _ => throw new ArgumentOutOfRangeException(nameof(type), type, "Unknown element type."),
    };

    /// <summary>What the definition answers to a forward case, a text, a part of one or a grid, with its bounds.</summary>
    internal static BoundedOutput Output(PortCase portCase, RoundingModel model) =>
        portCase.Grid is { } grid ? GridErrorBound.Forward(grid, portCase.Input, model) : ErrorBound.Forward(portCase.Part, portCase.Input, model);

    /// <summary>The same of a backward case.</summary>
    internal static BoundedGradients Gradients(PortCase portCase, RoundingModel model) => portCase.Grid is { } grid
        ? GridErrorBound.Backward(grid, portCase.Input, portCase.OutputGradient[0], portCase.LogSumExpGradientOrZero, model)
        : GradientErrorBound.Backward(portCase.Part, portCase.Input, portCase.OutputGradient[0], portCase.LogSumExpGradientOrZero, model);

    /// <summary>Both of a backward case, for little more than its gradients alone.</summary>
    internal static (BoundedOutput Output, BoundedGradients Gradients) Both(PortCase portCase, RoundingModel model) => portCase.Grid is null
        ? GradientErrorBound.Both(portCase.Part, portCase.Input, portCase.OutputGradient[0], portCase.LogSumExpGradientOrZero, model)
        : (Output(portCase, model), Gradients(portCase, model));

    /// <summary>One comparison for each tensor of the answer, in the order o, lse or dq, dk, dv.</summary>
    /// <exception cref="ArgumentException">The answer holds no tensors (it is unsupported or failed), is of the other operation, or a tensor has another shape.</exception>
    public static ImmutableArray<TensorAgreement> Compare(PortCase portCase, PortAnswer answer, RoundingModel model)
    {
        ArgumentNullException.ThrowIfNull(portCase);
        return Compare(portCase, answer, () => Output(portCase, model), () => Gradients(portCase, model));
    }

    /// <summary>The same where the definition's answers are there already.</summary>
    internal static ImmutableArray<TensorAgreement> Compare(PortCase portCase, PortAnswer answer, Func<BoundedOutput> definition, Func<BoundedGradients> derivatives)
    {
        switch (answer)
        {
            case PortAnswer.Forward forward when portCase.Operation is PortOperation.Forward:
                BoundedOutput output = definition();
                return
                [
                    Compare("o", forward.Output, output.Exact.Output, output.Bound.Output),
                    .. forward.LogSumExp.Select(lse => Compare("lse", lse, output.Exact.LogSumExp, output.Bound.LogSumExp)),
                ];
            case PortAnswer.Backward backward when portCase.Operation is PortOperation.Backward:
                BoundedGradients gradients = derivatives();
                return
                [
                    Compare("dq", backward.Gradients.Query, gradients.Exact.Query, gradients.Bound.Query),
                    Compare("dk", backward.Gradients.Key, gradients.Exact.Key, gradients.Bound.Key),
                    Compare("dv", backward.Gradients.Value, gradients.Exact.Value, gradients.Bound.Value),
                ];
            default:
                throw new ArgumentException($"The answer to a {portCase.Operation} case is {answer}; it holds no tensors to compare.", nameof(answer));
        }
    }

    /// <summary>Compares one tensor, element by element.</summary>
    /// <exception cref="ArgumentException">The tensors differ in shape.</exception>
    public static TensorAgreement Compare(string name, Tensor<double> computed, Tensor<double> exact, Tensor<double> bound)
    {
        ArgumentNullException.ThrowIfNull(computed);
        ArgumentNullException.ThrowIfNull(exact);
        ArgumentNullException.ThrowIfNull(bound);
        if (!computed.Shape.AsSpan().SequenceEqual(exact.Shape.AsSpan()))
            throw new ArgumentException($"{name} is {computed}; the definition gives {exact}.", nameof(computed));
        int worst = 0, unjudged = 0;
        double worstRatio = 0;
        for (int i = 0; i < exact.Elements.Length; i++)
        {
            double ratio = Ratio(computed.Elements[i], exact.Elements[i], bound.Elements[i]);
            if (double.IsPositiveInfinity(bound.Elements[i]) && ratio == 0)
                unjudged++;
            if (ratio > worstRatio)
                (worst, worstRatio) = (i, ratio);
        }

        return exact.Elements.IsEmpty
            ? new(name, 0, [], 0, 0, 0, 0)
            : new(name, worstRatio, IndexOf(worst, exact.Shape), computed.Elements[worst], exact.Elements[worst], bound.Elements[worst], unjudged);
    }

    /// <summary>
    /// Error over bound for one element. Where visible NaN or infinities make the definition's value, the port may give NaN or any infinity; minus infinity as the
    /// logsumexp of a row without keys has bound 0, and must be given as such.
    /// </summary>
    public static double Ratio(double computed, double exact, double bound)
    {
        if (!double.IsFinite(exact))
            return computed.Equals(exact) || (double.IsPositiveInfinity(bound) && !double.IsFinite(computed)) ? 0 : double.PositiveInfinity;
        if (double.IsPositiveInfinity(bound) || computed == exact)
            return 0;
        return double.IsFinite(computed) ? Math.Abs(computed - exact) / bound : double.PositiveInfinity;
    }

    private static ImmutableArray<int> IndexOf(int offset, ImmutableArray<int> shape)
    {
        int[] index = new int[shape.Length];
        for (int axis = shape.Length - 1; axis >= 0; axis--)
            (offset, index[axis]) = Math.DivRem(offset, shape[axis]);
        return [.. index];
    }
}
