// In which order do the classes of tests begin?
using S2Attn.Tests.Golden;
using S2Attn.Tests.Mutants;
using S2Attn.Tests.Native;
using S2Attn.Tests.Optimized;
using S2Attn.Tests.Packages;
using S2Attn.Tests.Ports;
using S2Attn.Tests.Proofs;
using S2Attn.Tests.Properties;
using S2Attn.Tests.Python;
using S2Attn.Tests.Reference;
using S2Attn.Tests.Running;
using S2Attn.Tests.Xray;
using Xunit.Abstractions;

[assembly: TestCollectionOrderer("S2Attn.Tests.LongestFirst", "S2Attn.Tests")]

namespace S2Attn.Tests;

/// <summary>The tests of a class run one after the other. A long class that begins last leaves all cores but one idle until it ends; the longest begin first.</summary>
public sealed class LongestFirst : ITestCollectionOrderer
{
    private static readonly string[] Longest =
    [
        PackageTestGroup.Name,
        .. new[]
        {
            typeof(PythonTests), typeof(PropertyTests), typeof(KernelPathTests), typeof(WrongPortTests), typeof(MutantDocTests), typeof(KernelBorderTests), typeof(SamplePortTests), typeof(GoldenSuiteTests),
            typeof(LevelJudgementTests), typeof(UsualPortTests), typeof(NativeLibraryTests), typeof(OnnxOperatorTests), typeof(MutationRunTests), typeof(ProofTests), typeof(KernelPrefixTests), typeof(KernelSliceTests), typeof(GoldenBoundTests),
            typeof(XrayTests), typeof(SpoiledTensorTests), typeof(KernelAgreementTests), typeof(KernelSizeTests), typeof(KeyValueCacheTests),
        }.Select(type => $"Test collection for {type.FullName}"),
    ];

    /// <inheritdoc/>
    public IEnumerable<ITestCollection> OrderTestCollections(IEnumerable<ITestCollection> testCollections) =>
        testCollections.OrderBy(collection => Array.IndexOf(Longest, collection.DisplayName) is >= 0 and int at ? at : Longest.Length);
}
