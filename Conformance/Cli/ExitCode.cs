// What does the number say that a command ends with? The table stands in docs/exit-codes.md.
namespace S2Attn.Cli;

/// <summary>Exit codes of every command. A signal ends a command with 128 + its number: 130 after Ctrl-C, 143 after SIGTERM, 129 after SIGHUP.</summary>
internal static class ExitCode
{
    /// <summary>What was asked about holds: the port conforms, the tensors agree, nothing got worse, all mutants are found.</summary>
    public const int Holds = 0;

    /// <summary>What was asked about does not hold.</summary>
    public const int DoesNotHold = 1;

    /// <summary>Trouble that speaks of no port: bad usage, a file that cannot be read, a port that does not start, a report that cannot be written.</summary>
    public const int Trouble = 2;
}
