// How is a port X-rayed?
using System.Collections.Immutable;
using S2Attn.Conformance.Cases;
using S2Attn.Conformance.Ports;
using S2Attn.Reference;
using S2Attn.Reference.Upstream;
using S2Attn.Spec;

namespace S2Attn.Conformance.Xray;

/// <summary>
/// Sees inside of a port through its answers alone. At equal scores (q = 0) o is the mean of the visible values, and values that encode which row they are show it; codes in q
/// and k then show which of their rows make the scores, and with which factor; last the gradients are held against the derivative of what was seen.
/// </summary>
public static class Xrays
{
    private const int LongGroup = 72, DefaultTokens = 16;

    // From here on a port is asked for minutes.
    private const double ManyWeights = 1 << 24;

    /// <summary>No vector is made wider than this.</summary>
    internal const int WidestVector = 128;

    private static readonly bool[] OwnHeads = [true, false, false, true];

    /// <summary>The size that is looked at where no other is asked for: two sequences of four groups, four heads, two kv heads.</summary>
    public static S2Request Default(MaskPolicy mask) =>
        new() { Batch = 2, Tokens = DefaultTokens, Heads = 4, KvHeads = 2, HeadDim = 64, GroupSize = GroupSizeRule.Of(4), Mask = mask };

    /// <summary>The default size under a mask, bent to what the port claims, with vectors as wide as there are values; a default scale stays default.</summary>
    /// <param name="capabilities">What the port claims, the mask included.</param>
    /// <param name="mask">The mask.</param>
    public static S2Request Fitting(PortCapabilities capabilities, MaskPolicy mask)
    {
        ArgumentNullException.ThrowIfNull(capabilities);
        S2Config config = Bent(
            capabilities with { Masks = [mask] }, ElementType.F32, Default(mask) with { Prefix = Math.Min(capabilities.Fixed.Prefix ?? 0, DefaultTokens), IsPrefixWhole = capabilities.Fixed.IsPrefixWhole });
        S2Request fitting = config.ToRequest();
        return Configs.HasDefaultScale(config) ? fitting with { Scale = null } : fitting;
    }

    /// <summary>The request with vectors so wide that one call tells all values apart, where the port lets the caller choose.</summary>
    public static S2Request Widened(PortCapabilities capabilities, S2Request request)
    {
        ArgumentNullException.ThrowIfNull(capabilities);
        ArgumentNullException.ThrowIfNull(request);
        int values = Math.Clamp(request.Batch * request.Tokens * (request.KvHeads ?? request.Heads), 1, WidestVector);
        return request with { HeadDim = capabilities.Fixed.HeadDim.Fit(values) };
    }

    /// <summary>
    /// The sizes that tell defects apart: the one that is asked for, an odd group, a shift other than G / 2 with a scale and heads of its own, two padded sequences, four phases of heads where the port declares them, a ragged N,
    /// a cut that is not in the middle of a group, a single group, groups longer than a kernel's tile, and the first size under every other mask. Each is bent to what the port claims; sizes that then are the same are looked at once. Last some prefixes and grids of tokens, where the port declares them.
    /// </summary>
    /// <param name="capabilities">What the port claims.</param>
    /// <param name="masks">The masks to look at, beside that of the first configuration.</param>
    /// <param name="first">The configuration that is asked for.</param>
    /// <exception cref="FormatException">The port does not claim the configuration that is asked for.</exception>
    public static ImmutableArray<XrayProbe> Probes(PortCapabilities capabilities, IEnumerable<MaskPolicy> masks, S2Config first)
    {
        ArgumentNullException.ThrowIfNull(capabilities);
        ArgumentNullException.ThrowIfNull(first);
        XrayProbe asked = new(first, TypeOf(capabilities), Unpadded(first));
        if (PortSupport.Lacks(capabilities, first, asked.ElementType, PortOperation.Forward, padded: false) is [string lacking, ..])
            throw new FormatException($"the port does not claim {asked}: {lacking}");
        MaskPolicy[] all = [first.Mask, .. masks.Where(mask => mask != first.Mask)];
        S2Request request = first.ToRequest() with { Batch = 1, Tokens = 15, GroupSize = GroupSizeRule.Of(5), Shift = null, HeadDim = 1, Scale = null };
        S2Request fours = request with { Tokens = 12, GroupSize = GroupSizeRule.Of(4) };
        XrayProbe[] probes =
        [
            asked,
            Fitted(request),
            Fitted(fours with { Shift = 1, Heads = 3, KvHeads = 1, ShiftedHeads = HeadShift.SecondHalf, Scale = 0.5 }),
            Padded(Fitted(capabilities.Fixed.ShiftedHeads is null
                ? fours with { Batch = 2, Heads = 4, KvHeads = 2, ShiftedHeads = HeadShift.Of(OwnHeads) }
                : fours with { Batch = 2, Heads = 6, KvHeads = 3 })),
            .. capabilities.Phases && capabilities.Fixed.HasFreeShifts
                ? [Fitted(fours with { GroupSize = GroupSizeRule.Of(6), Heads = 8, KvHeads = 2, ShiftedHeads = HeadShift.Phased(4) })]
                : Array.Empty<XrayProbe>(),
            .. all.OrderByDescending(mask => mask.CutsWrappedRun()).ThenBy(mask => mask.IsCausal()).Take(1).Select(mask =>
                // One token past whole groups: at S of them what fills N up would stand in a run of its own. It stands behind what it fills up, where a causal mask hides it.
                Fitted(fours with { Batch = 2, Tokens = 13, Heads = 2, KvHeads = 2, ShiftedHeads = HeadShift.SecondHalf, Mask = mask })),
            .. all.Where(mask => mask.CutsWrappedRun()).Take(1).Select(mask => Fitted(fours with { Shift = 1, Heads = 2, KvHeads = 2, ShiftedHeads = HeadShift.SecondHalf, Mask = mask })),
            Fitted(fours with { Tokens = 4, Heads = 2, KvHeads = 2, ShiftedHeads = HeadShift.SecondHalf }),
            Fitted(request with { Tokens = 2 * LongGroup, GroupSize = GroupSizeRule.Of(LongGroup), Heads = 2, KvHeads = 1, ShiftedHeads = HeadShift.SecondHalf }) with { ShowsScores = false },
            .. all.Skip(1).Select(mask => Fitted(first.ToRequest() with { Mask = mask })),
        ];
        ImmutableArray<XrayProbe> grids = [.. GridProbes.Of(capabilities, asked.ElementType).Where(probe => PortSupport.Lacks(capabilities, probe.EqualScores().First()).IsEmpty)];
        return [.. probes.Concat(PrefixProbes.Of(capabilities, asked.ElementType)).Concat(grids).DistinctBy(probe => probe.ToString())];

        XrayProbe Fitted(S2Request wanted) => Xrays.Fitted(capabilities, asked.ElementType, wanted);

        XrayProbe Padded(XrayProbe probe) => capabilities.Padding ? probe with { Valid = SomePadded(probe.Config) } : probe;
    }

    /// <summary>A size, bent to what the port claims, with vectors as wide as there are values.</summary>
    internal static XrayProbe Fitted(PortCapabilities capabilities, ElementType type, S2Request wanted)
    {
        S2Config config = Bent(capabilities, type, wanted);
        config = config.With(change => change with { HeadDim = capabilities.Fixed.HeadDim.Fit(Math.Min(WidestVector, config.Batch * config.Tokens * config.KvHeads)) });
        return new(config, type, Unpadded(config));
    }

    // What the port claims near to a size; of what then is great a single entry, where it lets the caller choose.
    private static S2Config Bent(PortCapabilities capabilities, ElementType type, S2Request wanted)
    {
        S2Config config = CaseFitting.Fit(capabilities, new(Configs.Create(wanted), type, TensorKind.EqualScores, PaddingPattern.None, 0)).Config;
        return wanted.Batch > 1 && XrayProbe.WeightsOf(config) > ManyWeights ? Bent(capabilities, type, wanted with { Batch = 1 }) : config;
    }

    /// <summary>X-rays a port.</summary>
    /// <param name="port">The port; it is not disposed.</param>
    /// <param name="probes">The sizes; that which was asked for first. Those that do not answer are left out of the picture, and named.</param>
    /// <param name="cancellation">Ends the work between questions.</param>
    /// <exception cref="XrayFailedException">The port gave no tensors at any size.</exception>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    public static XrayReport Take(IAttentionPort port, IEnumerable<XrayProbe> probes, CancellationToken cancellation = default) => Take(port, probes, Suspects.All, [], cancellation);

    /// <summary>The same where some defects alone are suspected, with an index or none.</summary>
    internal static XrayReport Take(IAttentionPort port, IEnumerable<XrayProbe> probes, Suspects suspects, ImmutableArray<StructureIndex> index, CancellationToken cancellation)
    {
        CountingPort counting = new(port, cancellation);

        // A port with a prefix of its own has no text without one.
        bool hasOwnPrefix = port.Description.Capabilities.Fixed.Prefix is not null;
        ILookup<ProbedPart, XrayProbe> parts = probes.ToLookup(probe => hasOwnPrefix && probe.Part is ProbedPart.Prefix ? ProbedPart.Text : probe.Part);
        (ImmutableArray<XrayFilm> films, ImmutableArray<XrayFailure> failures) = Expose(counting, parts[ProbedPart.Text], ofStructure: false);
        if (films.IsEmpty)
            throw new XrayFailedException(string.Join("; ", failures.Take(2)));
        Explanation explanation = hasOwnPrefix && PrefixFinding.Of(films, [], [Composition.Definition], Develop, cancellation).Explanation is { IsWhole: true } ofPrefix ? ofPrefix : ExplanationSearch.Of(films, suspects, index, cancellation);

        // What is wrong of texts is mostly wrong of the rest too, and told by texts: of the rest only what has a name is said beside it.
        PartFinding? prefixes = Find(ProbedPart.Prefix, asked => FindPrefixes(counting, asked, explanation.Compositions, cancellation));
        PartFinding? grids = Find(ProbedPart.Grid, asked => FindGrids(counting, asked, cancellation));
        ImmutableArray<XrayPicture> pictures = [.. films.Select(Develop)];
        return new(port.Description, pictures, failures, explanation, HabitFindings.Of(films, explanation), counting.Calls)
        {
            Grids = grids,
            Prefixes = prefixes,
            Differences = XrayDifference.Of(films, pictures, explanation),
        };

        PartFinding? Find(ProbedPart part, Func<IEnumerable<XrayProbe>, PartFinding> find) =>
            explanation.IsWhole && parts[part].Any() && find(parts[part]) is var finding && (explanation.IsDefinition || finding is { Explanation.IsWhole: true }) ? finding : null;
    }

    /// <summary>What a port makes of prefixes, where it is one of some compositions without.</summary>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    internal static PartFinding FindPrefixes(IAttentionPort port, IEnumerable<XrayProbe> probes, ImmutableArray<Composition> ofTexts, CancellationToken cancellation)
    {
        (ImmutableArray<XrayFilm> films, ImmutableArray<XrayFailure> failures) = Expose(port, probes, ofStructure: true);
        return PrefixFinding.Of(films, failures, ofTexts, Develop, cancellation);
    }

    /// <summary>What a port is over grids of tokens.</summary>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    internal static PartFinding FindGrids(IAttentionPort port, IEnumerable<XrayProbe> probes, CancellationToken cancellation)
    {
        (ImmutableArray<XrayFilm> films, ImmutableArray<XrayFailure> failures) = Expose(port, probes, ofStructure: true);
        return GridFinding.Of(films, failures, cancellation);
    }

    /// <summary>The same over the grids that a port claims.</summary>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    public static PartFinding FindGrids(IAttentionPort port, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(port);
        PortCapabilities capabilities = port.Description.Capabilities;
        return FindGrids(new CountingPort(port, cancellation), GridProbes.Of(capabilities, TypeOf(capabilities)), cancellation);
    }

    private static (ImmutableArray<XrayFilm> Films, ImmutableArray<XrayFailure> Failures) Expose(IAttentionPort port, IEnumerable<XrayProbe> probes, bool ofStructure)
    {
        List<XrayFilm> films = [];
        List<XrayFailure> failures = [];
        foreach (XrayProbe probe in probes)
        {
            ImmutableArray<string> lacking = probe.Grid is null
                ? PortSupport.Lacks(port.Description.Capabilities, probe.Config, probe.ElementType, PortOperation.Forward, probe.IsPadded)
                : PortSupport.Lacks(port.Description.Capabilities, probe.EqualScores().First());
            if (!lacking.IsEmpty || !probe.IsSmallEnough)
            {
                failures.Add(new(probe, lacking.IsEmpty ? $"too large: {XrayProbe.SizeRule}" : $"the port does not claim it: {lacking[0]}"));
                continue;
            }

            try
            {
                films.Add(XrayFilm.Expose(probe, port, ofStructure));
            }
            catch (XrayFailedException error)
            {
                failures.Add(new(probe, error.Message) { IsClaimed = true });
            }
        }

        return ([.. films], [.. failures]);
    }

    internal static XrayPicture Develop(XrayFilm film)
    {
        VisibilityMap seen = VisibilityMap.Develop(film), definition = VisibilityMap.OfDefinition(film.Probe);
        ScoreMap scores = ScoreMap.Develop(film, seen);
        ImmutableArray<GradientMap> gradients = GradientMap.Develop(film, seen, scores);
        return new(film.Probe, seen, definition, scores, gradients,
        [
            .. VisibilityWords.Of(seen, definition, scores)
                .Concat(ScoreWords.Of(scores))
                .Concat(ScoreWords.LogSumExp(seen, film.LogSums))
                .Concat(gradients.SelectMany(map => ScoreWords.Gradients(film.Probe, map)))
                .OrderByDescending(sentence => sentence.Rows)
                .Select(sentence => sentence.Text),
            .. film.GradientFailure.Length > 0 ? [$"the backward pass gave no tensors: {film.GradientFailure}"] : Array.Empty<string>(),
        ]);
    }

    // Small numbers and powers of two are exact in every format; a wide one tells more.
    private static ElementType TypeOf(PortCapabilities capabilities) =>
        new[] { ElementType.F32, ElementType.F64, ElementType.F16, ElementType.BF16 }.FirstOrDefault(type => capabilities.ElementTypes.Contains(type));

    private static Tensor<bool> Unpadded(S2Config config) => Tensor<bool>.Build([config.Batch, config.Tokens], _ => true);

    // The first group of one entry lacks its ends, that of the last one its end, so that a row can be hidden and see keys; whole groups of the last entry are padded.
    internal static Tensor<bool> SomePadded(S2Config config) => Tensor<bool>.Build([config.Batch, config.Tokens], i =>
    {
        (int b, int t) = Math.DivRem(i, config.Tokens);
        bool ends = t > 0 && t != config.GroupSize - 1 && t < config.Tokens - 2, start = t < config.GroupSize - 1;
        return config.Batch == 1 || b < config.Batch - 1 ? ends : start;
    });

    private sealed class CountingPort(IAttentionPort port, CancellationToken cancellation) : IAttentionPort
    {
        public int Calls { get; private set; }

        public PortDescription Description => port.Description;

        public PortAnswer Run(PortCase portCase)
        {
            cancellation.ThrowIfCancellationRequested();
            Calls++;
            return port.Run(portCase);
        }

        public void Dispose()
        {
        }
    }
}
