// What must be kept of a failure so that anybody can put the same question again and judge the answer?
using System.Collections.Immutable;
using S2Attn.Conformance.Ports;
using S2Attn.Reference;
using S2Attn.Spec;

namespace S2Attn.Conformance.Reproducers;

/// <summary>What the definition gives for one tensor of the answer, and how far a right answer may lie from it.</summary>
/// <param name="Name">"o", "lse", "dq", "dk" or "dv".</param>
/// <param name="Exact">The definition's values.</param>
/// <param name="Bound">Beside each the largest error, infinite where the arithmetic may overflow.</param>
public sealed record ExpectedTensor(string Name, Tensor<double> Exact, Tensor<double> Bound);

/// <summary>An element outside its bound, or an answer without tensors.</summary>
/// <param name="Tensor">The tensor's name; empty where the answer holds none.</param>
/// <param name="Text">What was found and what is expected.</param>
public sealed record Difference(string Tensor, string Text);

/// <summary>Where a reproducer comes from.</summary>
/// <param name="Property">The property that failed.</param>
/// <param name="Port">The port that failed it.</param>
/// <param name="Seed">The seed of the run.</param>
/// <param name="Cases">Cases for each property in the run.</param>
public sealed record ReproducerOrigin(string Property, string Port, int Seed, int Cases);

/// <summary>A question to a port and the answers that are right.</summary>
/// <param name="Origin">Where it comes from.</param>
/// <param name="Case">The question.</param>
/// <param name="Expected">o and lse for a forward case; dq, dk, dv for a backward case.</param>
public sealed record Reproducer(ReproducerOrigin Origin, PortCase Case, ImmutableArray<ExpectedTensor> Expected)
{
    /// <summary>The right answers of a case under a rounding model.</summary>
    public static ImmutableArray<ExpectedTensor> Expect(PortCase portCase, RoundingModel model)
    {
        ArgumentNullException.ThrowIfNull(portCase);
        if (portCase.Operation is PortOperation.Forward)
        {
            BoundedOutput output = Agreement.Output(portCase, model);
            return [new("o", output.Exact.Output, output.Bound.Output), new("lse", output.Exact.LogSumExp, output.Bound.LogSumExp)];
        }

        BoundedGradients gradients = Agreement.Gradients(portCase, model);
        return
        [
            new("dq", gradients.Exact.Query, gradients.Bound.Query),
            new("dk", gradients.Exact.Key, gradients.Bound.Key),
            new("dv", gradients.Exact.Value, gradients.Bound.Value),
        ];
    }

    /// <summary>Where an answer is wrong, in the order of the tensors and of their elements; none where it agrees. A forward answer may leave out lse.</summary>
    public static IEnumerable<Difference> Differences(IEnumerable<ExpectedTensor> expected, PortAnswer answer) => answer switch
    {
        PortAnswer.Unsupported unsupported => [new("", $"the port answered that it does not support the case: {unsupported.Reason}")],
        PortAnswer.Failed failed => [new("", $"{failed.Kind}: {failed.Message}")],
        PortAnswer.Forward forward => Elements(expected, [("o", forward.Output), .. forward.LogSumExp.Select(lse => ("lse", lse))]),
        PortAnswer.Backward { Gradients: var gradients } => Elements(expected, [("dq", gradients.Query), ("dk", gradients.Key), ("dv", gradients.Value)]),
        _ => throw new ArgumentOutOfRangeException(nameof(answer), answer, "Unknown answer."),
    };

    private static IEnumerable<Difference> Elements(IEnumerable<ExpectedTensor> expected, (string Name, Tensor<double> Tensor)[] computed)
    {
        foreach (ExpectedTensor right in expected)
            foreach ((string name, Tensor<double> tensor) in computed.Where(answer => answer.Name == right.Name))
                for (int i = 0; i < tensor.Elements.Length; i++)
                {
                    double value = tensor.Elements[i], exact = right.Exact.Elements[i], bound = right.Bound.Elements[i];
                    if (Agreement.Ratio(value, exact, bound) > 1)
                        yield return new(name, FormattableString.Invariant($"{name}[{IndexText(i, tensor.Shape)}] is {value:R}; the definition gives {exact:R}, and an error of {bound:G3} is allowed"));
                }
    }

    private static string IndexText(int offset, ImmutableArray<int> shape)
    {
        int[] index = new int[shape.Length];
        for (int axis = shape.Length - 1; axis >= 0; axis--)
            (offset, index[axis]) = Math.DivRem(offset, shape[axis]);
        return string.Join(",", index);
    }
}
