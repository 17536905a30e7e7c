// What does a C program see of libs2attn? Right answers and codes; never a crash, an abort or a hang.
using S2Attn.Conformance.Ports;
using S2Attn.Tests.Ports;
using S2Attn.Tests.Tools;

namespace S2Attn.Tests.Native;

public sealed class NativeLibraryTests(TestProgram program) : IClassFixture<TestProgram>
{
    private static readonly string[] LevelsOfX64 = ["x86-64-v2", "x86-64-v3", "x86-64-v4"];

    [RequiresToolTheory("gcc", "clang")]
    [InlineData("arguments")]
    [InlineData("threads")]
    [InlineData("fork")]
    [InlineData("fork-among-threads")]
    [InlineData("fork-unheard")]
    [InlineData("fork-while-busy")]
    [InlineData("fork-in-a-long-call")]
    [InlineData("interrupt")]
    [InlineData("unload")]
    [InlineData("large")]
    [InlineData("guards")]
    [InlineData("strides")]
    [InlineData("slices")]
    [InlineData("grids")]
    [InlineData("cache")]
    [InlineData("edges")]
    public void A_C_program_passes(string test) => NativeBuild.Succeed("env", $"S2ATTN_LIBRARY={NativeBuild.Library}", program.Here, test);

    [RequiresToolTheory("gcc", "clang")]
    [InlineData("x86-64-v2")]
    [InlineData("x86-64-v3")]
    public void A_level_that_the_processor_has_is_used_where_it_is_asked_for(string level) =>
        Assert.Equal(level, NativeBuild.Succeed("env", $"S2ATTN_ISA={level}", program.Here, "isa"));

    [RequiresToolFact("gcc", "clang")]
    public void An_empty_level_is_none_and_the_widest_is_used() =>
        Assert.Equal(NativeBuild.Succeed("env", "-u", "S2ATTN_ISA", program.Here, "isa"), NativeBuild.Succeed("env", "S2ATTN_ISA=", program.Here, "isa"));

    [RequiresToolTheory("gcc", "clang")]
    [InlineData("x86-64-v9")]
    [InlineData("avx2")]
    [InlineData("../x86-64-v3")]
    public void A_level_that_there_is_none_of_is_an_error_and_no_abort(string level) =>
        NativeBuild.Succeed("env", $"S2ATTN_ISA={level}", program.Here, "level");

    [RequiresToolTheory("aarch64-linux-gnu-gcc", "qemu-aarch64-static", "clang", "ld.lld")]
    [InlineData("arguments")]
    [InlineData("guards")]
    [InlineData("strides")]
    [InlineData("slices")]
    [InlineData("grids")]
    [InlineData("cache")]
    [InlineData("edges")]
    [InlineData("fork-among-some-threads")]
    public void A_C_program_passes_on_an_emulated_arm64(string test) =>
        NativeBuild.Succeed("qemu-aarch64-static", "-L", "/usr/aarch64-linux-gnu", "-E", $"LD_LIBRARY_PATH={program.PrefixOfArm64}/lib", program.OnArm64, test);

    // This machine may have no AVX-512 to run the level with: it must be there whole, and compiled for it.
    [RequiresToolFact("gcc", "clang", "nm", "objdump")]
    public void Every_level_exports_the_same_functions_and_the_widest_uses_512_bits()
    {
        string prefix = NativeBuild.Succeed("bash", NativeBuild.Source("build.sh"), "--rid", "linux-x64");
        string[] exports = [.. LevelsOfX64.Select(level => Said("nm", "-D", "--defined-only", "-j", $"{prefix}/lib/libs2attn-{level}.so"))];
        Assert.Contains("s2attn_core", exports[0], StringComparison.Ordinal);
        Assert.All(exports, names => Assert.Equal(exports[0], names));
        Assert.True(Said("objdump", "-d", "--no-show-raw-insn", $"{prefix}/lib/libs2attn-x86-64-v4.so").Split("%zmm").Length > 1000);

        static string Said(params string[] command)
        {
            (int exitCode, string output) = PortTool.Run(command[0], command[1..]);
            Assert.True(exitCode == 0, output);
            return output;
        }
    }

    [RequiresToolFact("gcc", "clang")]
    public void The_library_earns_every_level_as_a_port() => SamplePortTests.InTemporary(directory =>
    {
        string library = Path.Combine(directory, "liblibs2attn_port.so");
        NativeBuild.Compile(library, "-shared", "-fPIC", SamplePortTests.Sample("libs2attn", "libs2attn_port.c"));
        using IAttentionPort port = PortFactory.CreateNative(new ProcessPortOptions(), library);
        SamplePortTests.Check(port, [.. PortLevels.All.Where(level => level is not PortLevel.Isolation)]);
    });
}

/// <summary>c_abi_test.c, compiled once for all tests that run it.</summary>
public sealed class TestProgram : IDisposable
{
    private static readonly string Source = Path.Combine(Repository.Root, "Conformance", "Tests", "Native", "c_abi_test.c");

    private readonly string directory = Directory.CreateTempSubdirectory("s2attn-native-").FullName;
    private readonly Lazy<string> here, prefixOfArm64, onArm64;

    /// <summary>Nothing is compiled before someone asks.</summary>
    public TestProgram()
    {
        here = new(() =>
        {
            string program = Path.Combine(directory, "c_abi_test");
            NativeBuild.Compile(program, Source);
            return program;
        });
        prefixOfArm64 = new(() => NativeBuild.Succeed("bash", NativeBuild.Source("build.sh"), "--rid", "linux-arm64"));
        onArm64 = new(() =>
        {
            string program = Path.Combine(directory, "c_abi_test_arm64");
            NativeBuild.Succeed(
                "aarch64-linux-gnu-gcc", "-std=gnu11", "-O2", $"-I{PrefixOfArm64}/include", "-o", program, Source, $"-L{PrefixOfArm64}/lib", "-ls2attn", "-lm", "-ldl", "-lpthread");
            return program;
        });
    }

    /// <summary>For this machine.</summary>
    public string Here => here.Value;

    /// <summary>The folder of the library for arm64.</summary>
    public string PrefixOfArm64 => prefixOfArm64.Value;

    /// <summary>For an emulated arm64.</summary>
    public string OnArm64 => onArm64.Value;

    /// <inheritdoc/>
    public void Dispose() => Directory.Delete(directory, recursive: true);
}
