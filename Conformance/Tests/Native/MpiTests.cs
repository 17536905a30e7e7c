// Does one sequence over many processes, through MPI and the C interface, give what one process gives, and does a rank that dies end the others?
using S2Attn.Tests.Ports;
using S2Attn.Tests.Tools;

namespace S2Attn.Tests.Native;

public sealed class MpiTests : IDisposable
{
    private readonly string directory = Directory.CreateTempSubdirectory("s2attn-mpi-").FullName;

    /// <summary>2 and 4 processes; shards of unequal size, a last group that is not whole, fewer groups than ranks, batches, GQA, one kv head for all, no shift.</summary>
    [RequiresToolFact("gcc", "clang", "mpicc", "mpirun")]
    public void A_sequence_over_processes_gives_what_one_process_gives()
    {
        string program = Program();
        foreach (string arguments in new[]
        {
            "2 --tokens 256 --group 32",
            "4 --tokens 250 --group 48 --shift 5 --kv-heads 1 --batch 1",
            "4 --tokens 70 --group 32 --heads 8 --kv-heads 4",
            "4 --tokens 96 --group 16 --shift 0",
        })
        {
            (int exitCode, string output) = Run(program, arguments);
            Assert.True(exitCode == 0, $"{arguments} ended with {exitCode}:\n{output}");
            Assert.All(["o", "lse", "dq"], name => Assert.Matches($@"(?m)^\s*{name} +as one process: the same bits", output));
            Assert.DoesNotContain("NOT", output, StringComparison.Ordinal);
        }
    }

    /// <summary>Theorem of the traffic: B (G - S) 2 D elements for each kv head that a shifted head reads, whatever N and the number of ranks are.</summary>
    [RequiresToolTheory("gcc", "clang", "mpicc", "mpirun")]
    [InlineData("2 --tokens 256")]
    [InlineData("4 --tokens 1024")]
    public void What_a_rank_sends_grows_neither_with_the_text_nor_with_the_ranks(string arguments)
    {
        (int exitCode, string output) = Run(Program(), arguments + " --group 32 --shift 8 --batch 2 --heads 4 --kv-heads 2 --dim 16 --no-check");
        Assert.True(exitCode == 0, output);
        const int Bytes = 2 * (32 - 8) * 2 * 16 * 1 * sizeof(float);
        Assert.Contains($"a rank sends at most {Bytes} bytes forward and {Bytes} backward", output, StringComparison.Ordinal);
    }

    [RequiresToolFact("gcc", "clang", "mpicc", "mpirun")]
    public void A_rank_that_dies_ends_the_others_with_an_error()
    {
        string program = Program();

        // Not from before: the library may have to be built first.
        System.Diagnostics.Stopwatch watch = System.Diagnostics.Stopwatch.StartNew();
        (int exitCode, string output) = Run(program, "4 --limit 30 --die 2");
        Assert.NotEqual(0, exitCode);
        Assert.Contains("exit", output, StringComparison.OrdinalIgnoreCase);
        Assert.True(watch.Elapsed < TimeSpan.FromMinutes(4), $"{watch.Elapsed}");
    }

    public void Dispose() => Directory.Delete(directory, recursive: true);

    private string Program()
    {
        string program = Path.Combine(directory, "s2attn_mpi"), prefix = NativeBuild.Prefix;
        NativeBuild.Succeed(
            "mpicc", "-std=c11", "-D_DEFAULT_SOURCE", "-Wall", "-Wextra", "-Werror", "-O2", $"-I{prefix}/include", "-o", program,
            Path.Combine(Repository.Root, "Optimized", "Bindings", "Mpi", "s2attn_mpi.c"), $"-L{prefix}/lib", "-ls2attn", "-lm", $"-Wl,-rpath,{prefix}/lib");
        return program;
    }

    // On one machine: more processes than cores, root in containers, nothing but shared memory and loopback.
    private static (int ExitCode, string Output) Run(string program, string arguments) => PortTool.Run(
        "env", ["OMPI_ALLOW_RUN_AS_ROOT=1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1", "mpirun", "--oversubscribe", "--mca", "btl", "self,vader,tcp", "--mca", "btl_tcp_if_include", "lo", "-n", arguments[..1], program, .. arguments[2..].Split(' ')]);
}
