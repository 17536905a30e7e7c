// Does the index of compositions say what trying each of them says?
using System.Collections.Immutable;
using S2Attn.Conformance.Ports;
using S2Attn.Conformance.Xray;
using S2Attn.Reference.Upstream;
using S2Attn.Spec;

namespace S2Attn.Tests.Xray;

public sealed class StructureIndexTests
{
    private const int Drawn = 150, Asked = 6;

    [Fact]
    public void It_finds_what_reads_as_a_film_shows_and_nothing_else()
    {
        Defect[] forward = [.. DefectCatalogue.All.Where(defect => !defect.NeedsPadding && !defect.IsBackward && defect.Stage is not Stage.LogSum)];
        Composition[] pairs = [.. DefectCatalogue.Pairs.Where(pair => pair.Defects.All(forward.Contains))];
        Random random = new();
        random.Shuffle(pairs);
        ImmutableArray<Composition> compositions = [Composition.Definition, .. forward.Select(defect => Composition.Of(defect)), .. pairs.Take(Drawn)];
        StructureIndex index = new(compositions);
        using ReferencePort reference = new();
        XrayProbe[] probes = [.. Xrays.Probes(reference.Description.Capabilities, [], S2Config.Create(Xrays.Default(MaskPolicy.LocalCausal))).Where(probe => !probe.IsPadded && probe.Rows <= 64)];
        Composition[] asked = [Composition.Of(DefectCatalogue.Named("mask-strict")), .. pairs.Take(Asked)];
        foreach (Composition composition in asked)
        {
            using CompositionPort port = new(composition.Name, composition);
            ImmutableArray<XrayFilm> films = [.. probes.Select(probe => XrayFilm.Expose(probe, port, ofStructure: true))];
            for (int defects = 0; defects <= 2; defects++)
            {
                string[] tried = [.. compositions.Where(other => other.Defects.Length == defects && films.All(film => new Prediction(film, other.Build()).SeesAsFilmedWhereKeysAreSeen())).Select(other => other.Name)];
                (Composition Composition, bool EvenEmptyRows)[] found = [.. index.Matching(films, defects)];
                Assert.Equal(tried, found.Select(item => item.Composition.Name));
                Assert.All(found.Where(item => item.EvenEmptyRows), item => Assert.True(films.All(film => new Prediction(film, item.Composition.Build()).SeesAsFilmed()), $"{composition}: {item.Composition}"));
            }
        }
    }
}
