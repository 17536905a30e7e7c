// With what is a port compared to find out what it computes?
using System.Collections.Immutable;
using S2Attn.Conformance.Mutants;
using S2Attn.Conformance.Ports;
using S2Attn.Reference.Upstream;
using S2Attn.Spec;

namespace S2Attn.Conformance.Xray;

/// <summary>Something that a port may turn out to compute.</summary>
/// <param name="Name">Its name in reports.</param>
/// <param name="Defect">What is wrong with it, in one sentence.</param>
/// <param name="Fix">What the author of such a port is to change, in one sentence.</param>
/// <param name="SeenIn">Where it was seen.</param>
/// <param name="Open">A port that computes it.</param>
public sealed record Suspect(string Name, string Defect, string Fix, string SeenIn, Func<IAttentionPort> Open)
{
    /// <inheritdoc/>
    public override string ToString() => Name;
}

/// <summary>The known suspects.</summary>
public static class Suspects
{
    /// <summary>The definition under each policy, whatever policy is asked for.</summary>
    public static ImmutableArray<Suspect> Definitions { get; } =
    [
        .. MaskPolicies.All.Select(mask => new Suspect(
            mask.ToString(),
            $"It computes the policy {mask}, whatever policy is asked for.",
            $"Declare the mask {mask}, which is what your code computes, or change the mask: see docs/semantics.md.",
            SeenIn(mask),
            () => new PolicyPort(mask))),
    ];

    /// <summary>Known deviations of other code.</summary>
    public static ImmutableArray<Suspect> Upstream { get; } =
        [.. UpstreamProfiles.All.Select(profile => new Suspect(profile.Name, profile.Difference, Remedy(profile), profile.Source, () => new ProfilePort(profile)))];

    /// <summary>All suspects, the best known first.</summary>
    public static ImmutableArray<Suspect> All { get; } =
    [
        .. Definitions,
        .. Upstream,
        .. MutantCatalogue.All.Select(mutant => new Suspect(mutant.Name, mutant.Defect, mutant.Fix, mutant.SeenIn, mutant.Open)),
    ];

    private static string Remedy(UpstreamProfile profile) =>
        profile == UpstreamProfiles.LongLoraOddGroup ? "Roll forward by the same amount that you roll back: for odd G Python's -G//2 is -(G+1)/2; write -(G//2)."
        : profile == UpstreamProfiles.LongLoraBatchMask ? "Cut each batch entry's own mask into groups as q, k, v are cut, instead of repeating its first G x G block over all groups."
        : profile == UpstreamProfiles.LongLoraFlashPadding ? "Repeat the padding mask in the tensor's order (repeat_interleave instead of repeat) and count groups in original tokens."
        : profile == UpstreamProfiles.InGroupUnshift ? "Join the groups to N tokens again before the roll back: assign the result of the reshape, which is no in-place operation."
        : profile == UpstreamProfiles.UnshiftOnly ? "Roll q, k and v of the shifted heads by -S before they are grouped, and assign the result of the roll."
        : profile == UpstreamProfiles.HeadTokenScramble ? "Transpose [B,H,N,D] to [B,N,H,D] before reshaping it to [B N/G, G, H, D]."
        : profile == UpstreamProfiles.ShiftAxisHeads ? "Roll back by S tokens, not by H/2: check which axis the size in the roll is taken from."
        : profile == UpstreamProfiles.InGroupRotation ? "Roll along the whole sequence before it is cut into groups, not inside each group."
        : profile == UpstreamProfiles.KvShiftBeforeRepeat ? "Repeat k and v to the query heads first, then roll those of the shifted query heads."
        : profile == UpstreamProfiles.NoMask ? "Apply the causal mask inside each group."
        : profile == UpstreamProfiles.ValueNotRolled ? "Roll v of the shifted heads together with q and k."
        : profile == UpstreamProfiles.PlusDirectionOdd ? "Roll by -S, so that position p holds token (p + S) mod N, and back by +S."
        : throw new InvalidOperationException($"No remedy is written for {profile}.");

    private static string SeenIn(MaskPolicy mask) => mask switch
    {
        MaskPolicy.LocalCausal => "LongLoRA's eager path and the paper's Algorithm 1",
        MaskPolicy.Split => "LongLoRA's flash path",
        _ => "the definition",
    };

    /// <summary>The definition under one policy; where that is not defined for the sizes, it says so.</summary>
    private sealed class PolicyPort(MaskPolicy mask) : IAttentionPort
    {
        private readonly ReferencePort reference = new();

        public PortDescription Description => reference.Description with { Name = mask.ToString() };

        public PortAnswer Run(PortCase portCase) => S2Config.TryCreate(portCase.Config.ToRequest() with { Mask = mask }) switch
        {
            ConfigResult.Valid valid => reference.Run(portCase with { Config = valid.Config }),
            var invalid => new PortAnswer.Unsupported($"{invalid}"),
        };

        public void Dispose() => reference.Dispose();
    }
}
