// Where does the assembly go into which dotnet-stryker has written its mutants?
using S2Attn.Reference;
using S2Attn.Spec;

namespace S2Attn.Stryker;

/// <summary>
/// The only test that dotnet-stryker runs. It meets a mutant or two, for without any the coverage counts as unknown, so that all others are reported as not covered and are not run: a run of its own
/// costs seconds for each, of which a host's start takes most.
/// </summary>
public sealed class MutatedAssemblyTests
{
    /// <summary>Copies what the host has loaded, mutants and all, to the folder that S2ATTN_MUTANTS names.</summary>
    [Fact]
    public void The_assemblies_under_test_are_kept()
    {
        _ = (S2Config.MaxElements, Record.Exception(() => GridAttention.Forward(null!, null!)), Optimized.TensorStrides.Dense(default, 2, 3, 4));
        if (Environment.GetEnvironmentVariable("S2ATTN_MUTANTS") is not { Length: > 0 } folder)
            return;
        Directory.CreateDirectory(folder);
        foreach (Type type in new[] { typeof(S2Config), typeof(Attention), typeof(Optimized.S2Attention) })
            File.Copy(type.Assembly.Location, Path.Combine(folder, Path.GetFileName(type.Assembly.Location)), overwrite: true);
    }
}
