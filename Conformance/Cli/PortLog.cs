// Where does it go what ports say on stderr, and was any of it lost?
using S2Attn.Conformance.Validation;

namespace S2Attn.Cli;

/// <summary>The file of --port-log.</summary>
internal static class PortLog
{
    private static Console.Sink sink = new(TextWriter.Null);
    private static string path = "";

    /// <summary>Why it could not be written to its end, in words; empty where it could, or was not asked for.</summary>
    public static string Failure => sink.Failure.Length == 0 ? "" : $"--port-log {path} was not written to its end: {sink.Failure}";

    /// <summary>Begins the file.</summary>
    /// <exception cref="IOException">It cannot be written; the message names it.</exception>
    public static TextWriter Begin(FileInfo file)
    {
        ReportFiles.Try("--port-log", file.FullName, target =>
        {
            WholeFile.CheckWritable(target);
            sink = new(new StreamWriter(target));
        });
        path = file.FullName;
        return sink;
    }
}
