// Which tensors are plainer than given ones?
using System.Collections.Immutable;
using S2Attn.Conformance.Ports;
using S2Attn.Reference;

namespace S2Attn.Conformance.Reproducers;

/// <summary>Plainer questions of the same configuration: no padded key, then zeros, ones and integers, first in whole tensors and then element by element.</summary>
public static class TensorSimplifier
{
    // Past this, a question is put for every element of tensors that nobody will read in full.
    private const int MaxElements = 256;

    /// <summary>Ways to simplify, each giving candidates for the question as it then is. Each candidate is plainer in a well-founded order.</summary>
    public static IEnumerable<Func<PortCase, IEnumerable<PortCase>>> Steps(PortCase portCase)
    {
        ArgumentNullException.ThrowIfNull(portCase);
        yield return item => item.IsPadded ? [item with { Input = item.Input with { Valid = item.Input.Valid.Map(_ => true) } }] : [];
        for (int i = 0; i < Tensors(portCase).Length; i++)
        {
            int tensor = i;
            yield return item => Whole(item, tensor);
        }

        if (Tensors(portCase).Sum(tensor => (long)tensor.Elements.Length) > MaxElements)
            yield break;
        for (int i = 0; i < Tensors(portCase).Length; i++)
            for (int e = 0; e < Tensors(portCase)[i].Elements.Length; e++)
            {
                int tensor = i, element = e;
                yield return item => One(item, tensor, element);
            }
    }

    private static IEnumerable<PortCase> Whole(PortCase item, int tensor)
    {
        foreach (Func<double, double> plain in new Func<double, double>[] { _ => 0, value => Math.Round(value), value => Math.Round(value, 1) })
            if (Plainer(item, tensor, (_, value) => plain(value)) is [var candidate])
                yield return candidate;
    }

    private static IEnumerable<PortCase> One(PortCase item, int tensor, int element)
    {
        foreach (Func<double, double> plain in new Func<double, double>[] { _ => 0, _ => 1, value => Math.Round(value), value => Math.Round(value, 1) })
            if (Plainer(item, tensor, (i, value) => i == element ? plain(value) : value) is [var candidate])
                yield return candidate;
    }

    // Nothing becomes wilder, and something plainer.
    private static ImmutableArray<PortCase> Plainer(PortCase item, int which, Func<int, double, double> change)
    {
        double[] old = [.. Tensors(item)[which].Elements];
        bool plainer = false;
        Tensor<double> changed = Tensor<double>.Build(Tensors(item)[which].Shape.AsSpan(), i =>
        {
            double value = item.ElementType.Round(change(i, old[i]));
            bool better = Wildness(value) < Wildness(old[i]);
            plainer |= better;
            return better ? value : old[i];
        });
        return plainer ? [With(item, which, changed)] : [];
    }

    private static int Wildness(double value) => value switch
    {
        0 => 0,
        1 => 1,
        _ when !double.IsFinite(value) => 5,
        _ when value == Math.Round(value) && Math.Abs(value) < 1000 => 2,
        _ when Math.Abs(value - Math.Round(value, 1)) < 1e-3 => 3,
        _ => 4,
    };

    private static ImmutableArray<Tensor<double>> Tensors(PortCase item) => [item.Input.Query, item.Input.Key, item.Input.Value, .. item.OutputGradient];

    private static PortCase With(PortCase item, int which, Tensor<double> tensor) => which switch
    {
        0 => item with { Input = item.Input with { Query = tensor } },
        1 => item with { Input = item.Input with { Key = tensor } },
        2 => item with { Input = item.Input with { Value = tensor } },
        _ => item with { OutputGradient = [tensor] },
    };
}
