// How long may a port's process take, and how much may it say?
namespace S2Attn.Conformance.Ports;

/// <summary>Limits of a process port. Each has a default that fits an interpreter which loads a large library.</summary>
public sealed record ProcessPortOptions
{
    /// <summary>From the start of the process to its answer to describe.</summary>
    public TimeSpan StartupLimit { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>From sending a case to having read its output.</summary>
    public TimeSpan CaseLimit { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>From shutdown to the end of the process; then it is killed.</summary>
    public TimeSpan ShutdownLimit { get; init; } = TimeSpan.FromSeconds(2);

    /// <summary>The longest line on stdout, in bytes.</summary>
    public int MaxLineBytes { get; init; } = 1 << 20;

    /// <summary>How much of the end of stderr is kept for messages, in bytes.</summary>
    public int StderrTailBytes { get; init; } = 4096;

    /// <summary>How many times in a row a process may fail to start before the port is given up.</summary>
    public int MaxFailedStarts { get; init; } = 3;

    /// <summary>Where the process runs; empty for the current directory.</summary>
    public string WorkingDirectory { get; init; } = "";

    /// <summary>The directory in which the port's own run directory is made and deleted.</summary>
    public string TemporaryDirectory { get; init; } = Path.GetTempPath();

    /// <summary>Receives stderr as it comes. It is written to from another thread.</summary>
    public TextWriter Log { get; init; } = TextWriter.Null;
}

/// <summary>A port whose process cannot be started, or that does not answer describe. The message holds the end of its stderr.</summary>
public sealed class PortStartException : Exception
{
    /// <summary>Creates the exception.</summary>
    public PortStartException(string message)
        : base(message)
    {
    }

    /// <summary>Creates the exception with its cause.</summary>
    public PortStartException(string message, Exception cause)
        : base(message, cause)
    {
    }
}
