// What is a known deviation from the definition?
using System.Collections.Immutable;
using S2Attn.Spec;

namespace S2Attn.Reference.Upstream;

/// <summary>A way in which other code computes something else than S2-Attn: a diagnosis that a conformance report can name.</summary>
/// <param name="Defect">What it does.</param>
/// <param name="Masks">The policies under which it is a plausible port of the definition.</param>
/// <param name="Ragged">Whether N may be no multiple of G.</param>
/// <param name="Region">Where it differs from the definition, in words.</param>
/// <param name="MayDiffer">
/// Whether sizes and padding lie in that region. Outside of it every row of o reads exactly what the definition reads. Inside, without padding, some row
/// reads something else; with padding that depends on which keys are padded.
/// </param>
public sealed record UpstreamProfile(
    Defect Defect,
    ImmutableArray<MaskPolicy> Masks,
    bool Ragged,
    string Region,
    Func<S2Config, Tensor<bool>, bool> MayDiffer)
{
    /// <summary>Its name in reports.</summary>
    public string Name => Defect.Name;

    /// <summary>What differs, in words.</summary>
    public string Difference => Defect.What;

    /// <summary>Where it was seen: upstream file and function, or public ports.</summary>
    public string Source => Defect.SeenIn;

    /// <summary>Whether the profile says anything about a configuration.</summary>
    public bool AppliesTo(S2Config config)
    {
        ArgumentNullException.ThrowIfNull(config);
        return Masks.Contains(config.Mask) && (Ragged || config.Tokens % config.GroupSize == 0);
    }

    /// <summary>The profile evaluated for sizes and padding.</summary>
    /// <exception cref="ArgumentException">The profile does not apply to the configuration.</exception>
    public PipelineAttention For(S2Config config, Tensor<bool> valid) => AppliesTo(config)
        ? new(config, new Pipeline(config, valid, Composition.Of(Defect).Build()))
        : throw new ArgumentException($"Profile {Name} is defined for {string.Join(", ", Masks)}{(Ragged ? "" : " and whole groups")}, not for {config.Mask} with N = {config.Tokens}, G = {config.GroupSize}.", nameof(config));

    /// <inheritdoc/>
    public override string ToString() => Name;
}
