// Does the index of compositions say what trying each of them says?
using System.Collections.Immutable;
using S2Attn.Conformance.Mutants;
using S2Attn.Conformance.Ports;
using S2Attn.Conformance.Xray;
using S2Attn.Reference;
using S2Attn.Reference.Upstream;
using S2Attn.Spec;

namespace S2Attn.Tests.Xray;

public sealed class StructureIndexTests
{
    private const int Drawn = 150, Asked = 6;

    private static bool IsForward(Defect defect) => !defect.NeedsPadding && !defect.IsBackward && defect.Stage is not Stage.LogSum;

    [Fact]
    public void The_parts_of_a_run_are_the_whole_run()
    {
        const int Parts = 3;
        ImmutableArray<Composition> all = PairRun.Drawn(1, 10);
        Assert.Equal(all.Select(pair => pair.Name).Order(), Enumerable.Range(1, Parts).SelectMany(part => PairRun.Shard(all, part, Parts)).Select(pair => pair.Name).Order());
        Assert.Equal([4, 3, 3], Enumerable.Range(1, Parts).Select(part => PairRun.Shard(all, part, Parts).Length));
    }

    [Fact]
    public void Several_names_ask_for_the_pairs_of_each()
    {
        string[] first = [.. PairRun.With("rolled-and-cut").Select(pair => pair.Name)], second = [.. PairRun.With("itself-alone").Select(pair => pair.Name)];
        Assert.NotEmpty(first);
        Assert.NotEmpty(second);
        Assert.Equal(first.Union(second).Order(), PairRun.With("itself-alone, rolled-and-cut").Select(pair => pair.Name).Order());
        Assert.True(PairRun.With("").Length > first.Length + second.Length);
    }

    /// <summary>A run over many pairs makes its films without a port; they are what the port would have answered.</summary>
    [Fact]
    public void A_film_of_stages_is_that_of_their_port()
    {
        const int Every = 37, Pairs = 8;
        Composition[] compositions = [Composition.Definition, .. DefectCatalogue.All.Where((_, i) => i % Every == 0).Select(defect => Composition.Of(defect)), .. DefectCatalogue.All.Where(defect => defect.Name.StartsWith("passes-", StringComparison.Ordinal)).Select(defect => Composition.Of(defect)), .. PairRun.Drawn(2, Pairs)];
        using CompositionPort any = new("any", Composition.Definition);
        XrayProbe[] probes = [.. Xrays.Probes(any.Description.Capabilities, any.Description.Capabilities.Masks, S2Config.Create(Xrays.Default(MaskPolicy.LocalCausal))).Where(probe => probe.Rows <= 128)];
        Assert.Contains(probes, probe => probe.IsPadded);
        foreach (Composition composition in compositions)
        {
            using CompositionPort port = new(composition.Name, composition);
            foreach (XrayProbe probe in probes)
            {
                XrayFilm asked = XrayFilm.Expose(probe, port, ofStructure: true), made = XrayFilm.Of(probe, composition);
                Assert.Equal(asked.LogSums.Select(answer => answer.Code), made.LogSums.Select(answer => answer.Code));
                Assert.Equal(asked.Stale.ToArray(), made.Stale.ToArray());
                AssertNear(asked.Equal, made.Equal);
                foreach ((Tensor<double> a, Tensor<double> b) in asked.Scores.Zip(made.Scores, (a, b) => (a, b)).Concat(asked.LogSums.Zip(made.LogSums, (a, b) => (a.LogSumExp, b.LogSumExp)))
                    .Concat(asked.Gradients.Zip(made.Gradients).SelectMany(pair => new[] { (pair.First.Query, pair.Second.Query), (pair.First.Key, pair.Second.Key), (pair.First.Value, pair.Second.Value) })))
                    AssertNear(a, b);
                Assert.Equal((asked.Scores.Length, asked.Gradients.Length), (made.Scores.Length, made.Gradients.Length));

                void AssertNear(Tensor<double> a, Tensor<double> b)
                {
                    Assert.Equal(a.Shape.ToArray(), b.Shape.ToArray());
                    for (int i = 0; i < a.Elements.Length; i++)
                        Assert.True(a.Elements[i].Equals(b.Elements[i]) || Math.Abs(a.Elements[i] - b.Elements[i]) <= 1e-6 * (1 + Math.Abs(a.Elements[i])), $"{composition} at {probe}, element {i}: {a.Elements[i]:R} and {b.Elements[i]:R}");
                }
            }
        }
    }

    /// <summary>What a film is made of is not computed again; the search ends where one through a port's answers ends.</summary>
    [Theory]
    [InlineData("mask-strict", "unshift-missing")]
    [InlineData("scale-missing", "dq-detached")]
    [InlineData("rolled-forwards", "padding-ignored")]
    [InlineData("padding-ignored", "lse-base-2")]
    [InlineData("tile-border-dropped", "dq-detached")]
    public void A_search_through_films_of_stages_ends_where_one_through_a_port_does(string first, string second)
    {
        Composition pair = Composition.Of(DefectCatalogue.Named(first), DefectCatalogue.Named(second));
        using CompositionPort port = new(pair.Name, pair);
        XrayProbe[] probes = [.. Xrays.Probes(port.Description.Capabilities, [MaskPolicy.Split], S2Config.Create(Xrays.Default(MaskPolicy.LocalCausal)))];
        Explanation asked = ExplanationSearch.Of([.. probes.Select(probe => XrayFilm.Expose(probe, port, ofStructure: true))], default), made = ExplanationSearch.Of([.. probes.Select(probe => XrayFilm.Of(probe, pair))], default);
        Assert.Equal(asked.Compositions.Select(composition => composition.Name), made.Compositions.Select(composition => composition.Name));

        Composition[] read = [Composition.Definition, .. PairRun.Drawn(4, 20), .. asked.Compositions, .. pair.Defects.Select(defect => Composition.Of(defect))];
        StructureIndex index = new([.. read.Select(composition => Composition.Of(composition.Defects.Where(IsForward))).DistinctBy(composition => composition.Name).OrderBy(composition => composition.Defects.Length)]);
        Explanation indexed = ExplanationSearch.Of(probes.Select(probe => XrayFilm.Of(probe, pair)), [index], default);
        Assert.Equal(asked.Compositions.Select(composition => composition.Name).Order(), indexed.Compositions.Select(composition => composition.Name).Order());
        Assert.True(made.IsWhole);
        Assert.Contains(pair.Name, made.Names);
    }

    /// <summary>A run holds what rows read against each other before it puts every question: where it is the same, so is every answer.</summary>
    [Theory]
    [InlineData("definition")]
    [InlineData("mask-strict")]
    [InlineData("empty-row-nan")]
    [InlineData("full-attention")]
    public void Compositions_that_read_alike_answer_alike(string beside)
    {
        const int Every = 2, FewestAlike = 20;
        ImmutableArray<Defect> known = beside == "definition" ? [] : [DefectCatalogue.Named(beside)];
        Composition[] compositions = [.. DefectCatalogue.All.Where((defect, i) => i % Every == 0 && !defect.IsBackward && defect.Stage is not Stage.LogSum && known.All(other => other.Stage != defect.Stage)).Select(defect => Composition.Of(known.Add(defect)))];
        using CompositionPort any = new("any", Composition.Definition);
        int alike = 0;
        foreach (XrayProbe probe in Xrays.Probes(any.Description.Capabilities, [], S2Config.Create(Xrays.Default(MaskPolicy.LocalCausal))).Where(probe => probe.IsPadded || probe.Config.Tokens == probe.Config.GroupSize))
            foreach (IGrouping<string, Composition> same in compositions.GroupBy(composition => string.Join(' ', new PipelineAttention(probe.Config, new Pipeline(probe.Config, probe.Valid, composition.Build())).Reading())).Where(group => group.Key.Length > 0))
            {
                XrayFilm first = XrayFilm.Of(probe, same.First());
                foreach (Composition other in same.Skip(1))
                {
                    alike++;
                    Assert.True(new Prediction(first, other.Build()).IsAsFilmed(), $"{other} and {same.First()} at {probe}");
                }
            }

        Assert.True(alike >= FewestAlike, $"{alike} read alike");
    }

    /// <summary>Pairs that show the same without padding share what was found of it, and each is named as if it were looked at alone.</summary>
    [Fact]
    public void A_pair_is_named_in_a_run_as_it_is_alone()
    {
        Composition[] pairs = [.. new[] { ("no-heads-shifted", "padding-ignored"), ("no-heads-shifted", "padding-inverted"), ("rolled-twice", "padding-ignored"), ("rolled-twice", "lse-base-2"), ("rolled-twice", "dq-detached") }
            .Select(names => Composition.Of(DefectCatalogue.Named(names.Item1), DefectCatalogue.Named(names.Item2)))];
        using CompositionPort any = new("any", Composition.Definition);
        XrayProbe[] probes = [.. Xrays.Probes(any.Description.Capabilities, [], S2Config.Create(Xrays.Default(MaskPolicy.Split))).Where(probe => probe.IsPadded || probe.Rows <= 64)];
        ImmutableArray<Explanation> alone = [.. pairs.Select(pair => ExplanationSearch.Of([.. probes.Select(probe => XrayFilm.Of(probe, pair))], default))];
        StructureIndex index = new([.. alone.SelectMany(explanation => explanation.Compositions).Concat(pairs.SelectMany(pair => pair.Defects).Select(defect => Composition.Of(defect))).Append(Composition.Definition)
            .Select(composition => Composition.Of(composition.Defects.Where(defect => IsForward(defect)))).DistinctBy(composition => composition.Name).OrderBy(composition => composition.Defects.Length)]);
        Assert.Equal(
            alone.Select(explanation => string.Join("; ", explanation.Names.Order())),
            pairs.Select(pair => string.Join("; ", ExplanationSearch.Of(probes.Select(probe => XrayFilm.Of(probe, pair)), [index], default).Names.Order())));
    }

    [Fact]
    public void It_finds_what_reads_as_a_film_shows_and_nothing_else()
    {
        Defect[] forward = [.. DefectCatalogue.All.Where(IsForward)];
        Composition[] pairs = [.. DefectCatalogue.Pairs.Where(pair => pair.Defects.All(forward.Contains))];
        Random random = new();
        random.Shuffle(pairs);
        ImmutableArray<Composition> compositions = [Composition.Definition, .. forward.Select(defect => Composition.Of(defect)), .. pairs.Take(Drawn)];
        StructureIndex index = new(compositions);
        using ReferencePort reference = new();
        XrayProbe[] probes = [.. Xrays.Probes(reference.Description.Capabilities, [], S2Config.Create(Xrays.Default(MaskPolicy.LocalCausal))).Where(probe => probe.Part is ProbedPart.Text && !probe.IsPadded && (probe.Rows <= 64 || !probe.ShowsScores))];
        Assert.Contains(probes, probe => probe.Rows > 64);
        Composition[] asked = [Composition.Of(DefectCatalogue.Named("mask-strict")), .. pairs.Take(Asked)];
        foreach (Composition composition in asked)
        {
            using CompositionPort port = new(composition.Name, composition);
            ImmutableArray<XrayFilm> films = [.. probes.Select(probe => XrayFilm.Expose(probe, port, ofStructure: true))];
            for (int defects = 0; defects <= 2; defects++)
            {
                string[] tried = [.. compositions.Where(other => other.Defects.Length == defects && films.All(film => new Prediction(film, other.Build()).Sees().WhereKeysAreSeen)).Select(other => other.Name)];
                (Composition Composition, bool EvenEmptyRows)[] found = [.. index.Matching(films, source: null).Where(item => item.Composition.Defects.Length == defects)];
                Assert.Equal(tried, found.Select(item => item.Composition.Name));
                Assert.Equal(found, index.Matching(films, composition).Where(item => item.Composition.Defects.Length == defects));
                Assert.All(found.Where(item => item.EvenEmptyRows), item => Assert.True(films.All(film => new Prediction(film, item.Composition.Build()).SeesAsFilmed()), $"{composition}: {item.Composition}"));
            }
        }
    }
}
