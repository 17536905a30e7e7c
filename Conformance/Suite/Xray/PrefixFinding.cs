// What does a port make of a prefix?
using System.Collections.Immutable;
using S2Attn.Reference.Upstream;

namespace S2Attn.Conformance.Xray;

/// <summary>What is found where the first tokens of the text are keys of every query.</summary>
internal static class PrefixFinding
{
    private static readonly PartRegion Region = new("where the text has a prefix", "probed sizes with a prefix", "prefixes");

    /// <summary>The finding of some films.</summary>
    /// <param name="films">The films.</param>
    /// <param name="failures">The sizes that gave no answer.</param>
    /// <param name="ofTexts">What the port may be without a prefix: what is wrong there is wrong beside a prefix too.</param>
    /// <param name="picture">What there is to say of a film that nothing explains.</param>
    /// <param name="cancellation">Ends the search.</param>
    public static PartFinding Of(ImmutableArray<XrayFilm> films, ImmutableArray<XrayFailure> failures, ImmutableArray<Composition> ofTexts, Func<XrayFilm, XrayPicture> picture, CancellationToken cancellation)
    {
        return PartFinding.Of(
            ofTexts[0].Defects.IsEmpty ? Region : Region with { ButFor = " but for what is wrong without one" }, films, failures, DefectCatalogue.OfPrefixes, Explains,
            film => picture(film).Words.Take(1).Select(words => $"At {film.Probe}: {words}."));

        bool Explains(Composition composition, XrayFilm film)
        {
            cancellation.ThrowIfCancellationRequested();
            return ofTexts.Any(text => new Prediction(film, Composition.Of(text.Defects.Concat(composition.Defects)).Build()).IsAsFilmed());
        }
    }
}
