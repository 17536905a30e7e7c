// In which order do the classes of tests begin?
using S2Attn.Tests.Cli;
using S2Attn.Tests.Docs;
using S2Attn.Tests.Hostile;
using S2Attn.Tests.Mutants;
using S2Attn.Tests.Native;
using S2Attn.Tests.Optimized;
using S2Attn.Tests.Packages;
using S2Attn.Tests.Ports;
using S2Attn.Tests.Proofs;
using S2Attn.Tests.Properties;
using S2Attn.Tests.Python;
using S2Attn.Tests.Reproducers;
using S2Attn.Tests.Xray;
using Xunit.Abstractions;

[assembly: TestCollectionOrderer("S2Attn.Tests.LongestFirst", "S2Attn.Tests")]

namespace S2Attn.Tests;

/// <summary>The tests of a class run one after the other. A long class that begins last leaves all cores but one idle until it ends; the longest begin first.</summary>
public sealed class LongestFirst : ITestCollectionOrderer
{
    private static readonly string[] Longest =
    [
        .. Classes(typeof(PublicKindTests), typeof(KernelBorderTests), typeof(PropertyTests)),

        // Not at once: in CI they wait for what is built beside the tests.
        PackageTestGroup.Name,
        .. Classes(
            typeof(WrongPortTests), typeof(IdentificationTests), typeof(KernelPathTests), typeof(ProofTests), typeof(PortingDocTests), typeof(PythonTests),
            typeof(StructureIndexTests), typeof(KernelSliceTests), typeof(KernelPrefixTests), typeof(MutationRunTests), typeof(LifetimeTests), typeof(NewcomerBugTests), typeof(SamplePortTests), typeof(ReproduceCommandTests),
            typeof(BrokenInputTests), typeof(KernelGridTests), typeof(KernelValueTests), typeof(XrayTests), typeof(TongueKindTests), typeof(UsualPortTests), typeof(GridDiagnosisTests), typeof(BentPortTests), typeof(OnnxPortTests), typeof(KeyValueCacheTests), typeof(TerminalTests),
            typeof(XrayCommandTests), typeof(OnnxOperatorTests), typeof(PortingExampleTests), typeof(NativeLibraryTests)),
    ];

    /// <inheritdoc/>
    public IEnumerable<ITestCollection> OrderTestCollections(IEnumerable<ITestCollection> testCollections) =>
        testCollections.OrderBy(collection => Array.IndexOf(Longest, collection.DisplayName) is >= 0 and int at ? at : Longest.Length);

    private static IEnumerable<string> Classes(params Type[] types) => types.Select(type => $"Test collection for {type.FullName}");
}
