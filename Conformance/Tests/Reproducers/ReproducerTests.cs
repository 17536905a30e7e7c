// Does a reproducer keep a failure: wrong for the wrong port, right for the right one, and refused when it is damaged?
using System.Globalization;
using System.Text.RegularExpressions;
using S2Attn.Conformance;
using S2Attn.Conformance.Mutants;
using S2Attn.Conformance.Ports;
using S2Attn.Conformance.Properties;
using S2Attn.Conformance.Reproducers;
using S2Attn.Conformance.Running;
using S2Attn.Conformance.Safetensors;
using S2Attn.Reference;
using S2Attn.Spec;
using S2Attn.Tests.Ports;
using S2Attn.Tests.Properties;

namespace S2Attn.Tests.Reproducers;

public sealed class ReproducerTests
{
    private static readonly SuiteOptions Options = new() { Seed = 20230921, Cases = 40, ShrinkLimit = TimeSpan.FromMinutes(2) };

    [Theory]
    [InlineData("plus-direction-odd", "Agreement.Output", "o")]
    [InlineData("plus-direction-odd", "Leak.LocalCausal", "o")]
    [InlineData("kv-head-modulo", "Agreement.Ties", "o")]
    [InlineData("lse-base-2", "Agreement.LogSumExp", "lse")]
    [InlineData("dq-without-scale", "Agreement.Gradients", "dq")]
    public void A_failure_is_kept_as_one_question_that_the_mutant_answers_wrongly_and_Reference_rightly(string mutant, string property, string tensor) =>
        SamplePortTests.InTemporary(directory =>
        {
            using IAttentionPort wrong = MutantCatalogue.All.Single(item => item.Name == mutant).Open();
            using ReferencePort right = new();
            if (Reproduce(directory, wrong, property, 40) is not [var tensors, var text, var test])
            {
                Assert.Fail($"no single question of {mutant} is kept:\n{string.Join("\n", Directory.EnumerateFiles(directory).Select(File.ReadAllText))}");
                return;
            }

            Reproducer reproducer = ReproducerFile.Read(tensors);
            Assert.Equal((property, "mutant:" + mutant, 20230921), (reproducer.Origin.Property, reproducer.Origin.Port, reproducer.Origin.Seed));
            Assert.Equal(tensor, Reproducer.Differences(reproducer.Expected, PortCalls.Ask(wrong, reproducer.Case)).First().Tensor);
            Assert.Empty(Reproducer.Differences(reproducer.Expected, PortCalls.Ask(right, reproducer.Case)));

            string report = File.ReadAllText(text);
            Assert.True(report.Length < 4000, report);
            Assert.Contains($"s2attn check --port wrong --filter {property} --seed 20230921 --cases ", report, StringComparison.Ordinal);
            Assert.Contains("    q [", report, StringComparison.Ordinal);
            Assert.Equal($"test_{property.Replace('.', '_')}_1.py", Path.GetFileName(test));
        });

    [Fact]
    public void Tensors_are_as_plain_as_the_failure_allows()
    {
        using IAttentionPort wrong = MutantCatalogue.All.Single(item => item.Name == "plus-direction-odd").Open();
        SamplePortTests.InTemporary(directory =>
        {
            Reproducer reproducer = ReproducerFile.Read(Reproduce(directory, wrong, "Agreement.Output", 40)[0]);
            Assert.All(reproducer.Case.Input.Query.Elements.ToArray().Concat(reproducer.Case.Input.Key.Elements.ToArray()), value => Assert.Equal(0, value));
            Assert.Equal([1.0], reproducer.Case.Input.Value.Elements.ToArray().Where(value => value != 0));
        });
    }

    [Fact]
    public void Answers_that_vary_are_told_from_answers_that_are_wrong() => SamplePortTests.InTemporary(directory =>
    {
        using VaryingPort varying = new();
        string file = Assert.Single(Reproduce(directory, varying, "Determinism", 5));
        Assert.Contains("contradict each other", File.ReadAllText(file), StringComparison.Ordinal);
    });

    [Fact]
    public void A_port_that_throws_is_kept_with_what_it_threw() => SamplePortTests.InTemporary(directory =>
    {
        using ThrowingPort throwing = new();
        string[] files = Reproduce(directory, throwing, "Agreement.Output", 5);
        Assert.Equal(3, files.Length);
        Assert.Contains("Crash: the port threw InvalidOperationException: out of coffee", File.ReadAllText(files[1]), StringComparison.Ordinal);
    });

    /// <summary>The axes are part of what is kept: the question is put again on them, and its right answers are those of the grid.</summary>
    [Theory]
    [InlineData("grid-axes-swapped", "Grids.Output")]
    [InlineData("grid-dk-of-shifted-heads-only", "Grids.Gradients")]
    public void A_failure_over_a_grid_is_kept_with_its_axes(string mutant, string property) => SamplePortTests.InTemporary(directory =>
    {
        using IAttentionPort wrong = MutantCatalogue.All.Single(item => item.Name == mutant).Open();
        using ReferencePort right = new();
        string[] files = Reproduce(directory, wrong, property, 40);
        Assert.Equal(3, files.Length);
        Reproducer reproducer = ReproducerFile.Read(files[0]);
        Assert.NotNull(reproducer.Case.Grid);
        Assert.NotEmpty(Reproducer.Differences(reproducer.Expected, PortCalls.Ask(wrong, reproducer.Case)));
        Assert.Empty(Reproducer.Differences(reproducer.Expected, PortCalls.Ask(right, reproducer.Case)));
        Assert.True(reproducer.Case.Config.Tokens <= 24, $"not shrunk: {reproducer.Case.Grid}");
        Assert.Contains("\"axes\":[{\"tokens\":", File.ReadAllText(files[1]), StringComparison.Ordinal);
        Assert.Contains(" axes=[(", File.ReadAllText(files[2]), StringComparison.Ordinal);
    });

    /// <summary>The prefix is part of what is kept, and the function of the unit test is told of it.</summary>
    [Theory]
    [InlineData("Prefixes.Output")]
    [InlineData("Prefixes.Gradients")]
    public void A_failure_about_a_prefix_is_kept_with_it(string property) => SamplePortTests.InTemporary(directory =>
    {
        using ReferencePort right = new();
        using MutantPort wrong = new("ignores", item => right.Run(item with { Config = S2Config.Create(item.Config.ToRequest() with { Prefix = 0 }) })) { Description = right.Description };
        string[] files = Reproduce(directory, wrong, property, 40);
        Assert.Equal(3, files.Length);
        Reproducer reproducer = ReproducerFile.Read(files[0]);
        Assert.True(reproducer.Case.Config.Prefix > 0);
        Assert.NotEmpty(Reproducer.Differences(reproducer.Expected, PortCalls.Ask(wrong, reproducer.Case)));
        Assert.Empty(Reproducer.Differences(reproducer.Expected, PortCalls.Ask(right, reproducer.Case)));
        Assert.Contains($" prefix={reproducer.Case.Config.Prefix}, whole_prefix={(reproducer.Case.Config.IsPrefixWhole ? "True" : "False")},", File.ReadAllText(files[2]), StringComparison.Ordinal);
    });

    /// <summary>The part of the sequence, and the gradient of lse, are part of what is kept. The answers of the whole were expected before, and the run ended with an exception.</summary>
    [Theory]
    [InlineData("slice-trimmed-early", "Slice.CacheBounded", "o", "queries=(")]
    [InlineData("slice-halo-gradients-twice", "Slice.SharesAddUp", "dv", "queries=(")]
    [InlineData("lse-gradient-dropped", "LogSumExp.Gradient", "dq", " dlse=DLSE,")]
    public void A_failure_about_a_part_of_a_sequence_is_kept_with_it(string mutant, string property, string tensor, string argument) => SamplePortTests.InTemporary(directory =>
    {
        using IAttentionPort wrong = MutantCatalogue.All.Single(item => item.Name == mutant).Open();
        using ReferencePort right = new();
        string[] files = Reproduce(directory, wrong, property, 40);
        Assert.Equal(3, files.Length);
        Reproducer reproducer = ReproducerFile.Read(files[0]);
        Assert.Equal(tensor, Reproducer.Differences(reproducer.Expected, PortCalls.Ask(wrong, reproducer.Case)).First().Tensor);
        Assert.Empty(Reproducer.Differences(reproducer.Expected, PortCalls.Ask(right, reproducer.Case)));
        Assert.Equal(reproducer.Case.IsSlice, File.ReadAllText(files[1]).Contains("{\"slice\":{\"queries\":[", StringComparison.Ordinal));
        Assert.Contains(argument, File.ReadAllText(files[2]), StringComparison.Ordinal);
    });

    [Theory]
    [InlineData(ElementType.F32, false)]
    [InlineData(ElementType.F64, true)]
    [InlineData(ElementType.F16, true)]
    [InlineData(ElementType.BF16, false)]
    public void A_file_gives_the_same_case_again(ElementType type, bool backward)
    {
        Reproducer reproducer = Drawn(type, backward);
        string path = Path.Combine(Path.GetTempPath(), $"s2attn-{Guid.NewGuid():N}.safetensors");
        try
        {
            SafetensorsWriter.Write(path, ReproducerFile.Of(reproducer));
            Reproducer read = ReproducerFile.Read(path);
            Assert.Equal((reproducer.Origin, reproducer.Case.Config, type), (read.Origin, read.Case.Config, read.Case.ElementType));
            Assert.Equal(SafetensorsWriter.Encode(ReproducerFile.Of(reproducer)), SafetensorsWriter.Encode(ReproducerFile.Of(read)));
        }
        finally
        {
            File.Delete(path);
        }
    }

    [Fact]
    public void A_damaged_file_is_refused_with_its_name_and_the_rule() => SamplePortTests.InTemporary(directory =>
    {
        string path = Path.Combine(directory, "bad.safetensors");
        SafetensorsFile good = ReproducerFile.Of(Drawn(ElementType.F32, backward: false));
        byte[] whole = SafetensorsWriter.Encode(good);
        for (int length = 0; length < whole.Length; length += 7)
            Refused(whole[..length], "");

        RefusedFile(good with { Metadata = good.Metadata.Clear() }, "the metadata has no s2attn.reproducer");
        RefusedFile(good with { Metadata = good.Metadata.SetItem("s2attn.reproducer", "2") }, "this program reads version 1");
        RefusedFile(good with { Metadata = good.Metadata.SetItem("op", "side\u001bways") }, "op is side\uFFFDways");
        RefusedFile(good with { Metadata = good.Metadata.SetItem("op", "backward") }, "the file has no tensor do");
        RefusedFile(good with { Metadata = good.Metadata.SetItem("seed", "many") }, "seed is many");
        RefusedFile(good with { Metadata = good.Metadata.SetItem("config", "{") }, "config must be JSON");
        RefusedFile(good with { Metadata = good.Metadata.SetItem("config", "[]") }, "config must be an object");
        RefusedFile(good with { Metadata = good.Metadata.SetItem("config", Regex.Replace(good.Metadata["config"], "\"tokens\":[0-9]+", "\"tokens\":0")) }, "config: ");
        RefusedFile(good with { Metadata = good.Metadata.SetItem("config", Regex.Replace(good.Metadata["config"], "\"tokens\":[0-9]+", "\"tokens\":700")) }, "q has shape");
        RefusedFile(good with { Metadata = good.Metadata.SetItem("config", Regex.Replace(good.Metadata["config"], "\"shift\":[0-9]+", "\"shift\":2147483647")) }, "config: ");
        RefusedFile(good with { Metadata = good.Metadata.SetItem("slice", "[]") }, "slice must be an object");
        RefusedFile(good with { Metadata = good.Metadata.SetItem("slice", "{\"slice\":{\"queries\":[0,8],\"keys\":[0,7]}}") }, "must be at most Tokens = 7");
        RefusedFile(good with { Metadata = good.Metadata.SetItem("slice", "{\"slice\":{\"queries\":[2147483000,2147483001],\"keys\":[2147482000,2147483001],\"unbounded\":true}}") }, "is too large");
        RefusedFile(good with { Tensors = [.. good.Tensors.Where(tensor => tensor.Name != "bound.o")] }, "the file has no tensor bound.o");
        RefusedFile(good with { Tensors = [.. good.Tensors.Select(tensor => tensor.Name == "bound.o" ? tensor with { Values = tensor.Values.Map(_ => -1.0) } : tensor)] }, "bound.o: element 0 is -1");
        RefusedFile(good with { Tensors = [.. good.Tensors.Select(tensor => tensor.Name == "bound.lse" ? tensor with { Values = tensor.Values.Map(_ => double.NaN) } : tensor)] }, "bound.lse: element 0 is NaN");

        void RefusedFile(SafetensorsFile file, string rule) => Refused(SafetensorsWriter.Encode(file), rule);

        void Refused(byte[] bytes, string rule)
        {
            File.WriteAllBytes(path, bytes);
            SafetensorsException error = Assert.Throws<SafetensorsException>(() => ReproducerFile.Read(path));
            Assert.Contains("bad.safetensors: ", error.Message, StringComparison.Ordinal);
            Assert.Contains(rule, error.Message, StringComparison.Ordinal);
        }
    });

    /// <summary>A padded case of 7 tokens with two kv heads; larger where asked.</summary>
    internal static Reproducer Drawn(ElementType type, bool backward, int tokens = 7)
    {
        S2Config config = S2Config.Create(new() { Batch = 2, Tokens = tokens, Heads = 4, KvHeads = 2, HeadDim = 3, GroupSize = GroupSizeRule.Of(3), Mask = MaskPolicy.Split });
        PortCase portCase = PortCases.Draw(config, type, backward, padded: true, seed: 3);
        return new(new("Agreement.Output", "drawn", 3, 100), portCase, Reproducer.Expect(portCase, Agreement.ModelOf(type)));
    }

    /// <summary>It left the folder empty, whatever had been found.</summary>
    [Fact]
    public void Of_a_run_that_was_stopped_what_is_known_is_written() => SamplePortTests.InTemporary(directory =>
    {
        using IAttentionPort wrong = MutantCatalogue.All.Single(item => item.Name == "plus-direction-odd").Open();
        string report = File.ReadAllText(Assert.Single(Reproduce(directory, wrong, "Agreement.Output", 40, new(canceled: true))));
        Assert.Contains("- smallest case: ", report, StringComparison.Ordinal);
        Assert.Contains("s2attn check --port wrong --filter Agreement.Output --seed 20230921 --cases 40", report, StringComparison.Ordinal);
        Assert.Contains("The run was stopped before", report, StringComparison.Ordinal);
    });

    private static string[] Reproduce(string directory, IAttentionPort port, string property, int cases, CancellationToken stopped = default)
    {
        SuiteOptions options = Options with { Cases = cases };
        PropertyResult[] results = [.. SuiteRunner.Results(options, PropertyCatalogue.All.Where(candidate => candidate.Name == property), "wrong", port, cancellation: CancellationToken.None)];
        Assert.True(Assert.Single(results).IsBad, string.Create(CultureInfo.InvariantCulture, $"{property} does not fail with seed {options.Seed}"));
        return [.. ReproducerFolder.Write(directory, options, results, [new("wrong", port, "--port wrong")], stopped)];
    }

    // Right, but the last bit of every second answer differs.
    private sealed class VaryingPort : IAttentionPort
    {
        private readonly ReferencePort reference = new();
        private int calls;

        public PortDescription Description => reference.Description;

        public PortAnswer Run(PortCase portCase) => reference.Run(portCase) is PortAnswer.Forward forward
            ? forward with { Output = forward.Output.Map(value => calls++ % 2 == 0 ? value : portCase.ElementType.Round(value * (1 + 2 * portCase.ElementType.UnitRoundoff()))) }
            : new PortAnswer.Failed(PortFailureKind.Error, "forward only");

        public void Dispose() => reference.Dispose();
    }

    private sealed class ThrowingPort : IAttentionPort
    {
        private readonly ReferencePort reference = new();

        public PortDescription Description => reference.Description;

        public PortAnswer Run(PortCase portCase) => throw new InvalidOperationException("out of coffee");

        public void Dispose() => reference.Dispose();
    }
}
