// At which grids of tokens does an X-ray look?
using System.Collections.Immutable;
using S2Attn.Conformance.Cases;
using S2Attn.Conformance.Ports;
using S2Attn.Reference;
using S2Attn.Spec;

namespace S2Attn.Conformance.Xray;

/// <summary>Small images and a small video whose axes have sizes, windows and shifts of their own, so that no mistake about one axis looks like one about another.</summary>
internal static class GridProbes
{
    // A film keeps a weight for each row of o and each of v.
    private const int MostWeights = 1 << 20;

    private static readonly GridAxis<int>[]
        Image = [new(6, 3, 1), new(8, 4, 2)], OtherShifts = [new(8, 4, 1), new(6, 3, 2)], Video = [new(4, 2, 1), new(3, 3, 1), new(8, 4, 2)], Ragged = [new(7, 3, 1), new(6, 4, 2)],
        EvenImage = [new(8, 4, 2), new(6, 2, 1)], EvenOtherShifts = [new(4, 2, 1), new(8, 4, 1)], EvenVideo = [new(4, 2, 1), new(2, 2, 1), new(8, 4, 2)], EvenRagged = [new(5, 2, 1), new(7, 4, 2)];

    /// <summary>
    /// Those that a port claims: none where it does not declare grids. Under the first mask, one that cuts where there is one, an image of two entries, one whose shifts are no halves, a video, and an image of short last
    /// windows; the first image under every other mask.
    /// </summary>
    public static ImmutableArray<XrayProbe> Of(PortCapabilities capabilities, ElementType type)
    {
        if (!capabilities.Grids || capabilities.Masks.IsEmpty)
            return [];
        ImmutableArray<MaskPolicy> masks = [.. capabilities.Masks.OrderByDescending(mask => mask.CutsWrappedRun())];
        bool odd = capabilities.OddGroup;
        if (!capabilities.Fixed.Axes.IsEmpty)
            return [.. masks.Select(mask => Probe(mask, 2, [.. capabilities.Fixed.Axes])).Where(probe => (long)probe.Rows * probe.Sources <= MostWeights)];
        return
        [
            .. new[]
            {
                Probe(masks[0], 2, odd ? Image : EvenImage),
                Probe(masks[0], 1, odd ? OtherShifts : EvenOtherShifts),
                Probe(masks[0], 1, odd ? Video : EvenVideo),
            },
            .. capabilities.Ragged && masks[0].CutsWrappedRun() ? [Probe(masks[0], 1, odd ? Ragged : EvenRagged)] : Array.Empty<XrayProbe>(),
            .. masks[1..].Select(mask => Probe(mask, 2, odd ? Image : EvenImage)),
        ];

        XrayProbe Probe(MaskPolicy mask, int batch, GridAxis<int>[] axes)
        {
            S2Config plain = Configs.Create(new() { Batch = batch, Tokens = 16, Heads = 2, KvHeads = 1, HeadDim = 1, GroupSize = GroupSizeRule.Of(4), Mask = mask });
            S2Grid narrow = GridCases.Of(CaseFitting.Fit(capabilities with { Masks = [mask] }, new(plain, type, TensorKind.EqualScores, PaddingPattern.None, 0)).Config, axes);
            S2Config config = narrow.Tokens.With(request => request with
            {
                HeadDim = capabilities.Fixed.HeadDim.Fit(Math.Min(Xrays.WidestVector, narrow.Tokens.Batch * narrow.Tokens.Tokens * narrow.Tokens.KvHeads)),
            });
            return new(config, type, Tensor<bool>.Build([config.Batch, config.Tokens], _ => true)) { Grid = S2Grid.Create(config, axes) };
        }
    }
}
