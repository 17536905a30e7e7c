// How is an implementation in any language asked, when it may answer anything or nothing?
using System.Collections.Immutable;
using System.Diagnostics;
using System.Globalization;
using S2Attn.Conformance.Safetensors;
using S2Attn.Conformance.Validation;

namespace S2Attn.Conformance.Ports;

/// <summary>
/// A port that is a command and speaks the port protocol, version 1 (docs/port-protocol.md). Whatever it does is an answer to one case; after a case in
/// which it broke the protocol it is ended, with all that it started, and the next case starts it again.
/// </summary>
public sealed class ProcessPort : IAttentionPort
{
    private readonly ImmutableArray<string> command;
    private readonly ProcessPortOptions options;
    private RunDirectory directory;
    private readonly Lock gate = new();
    private PortProcess? process;
    private long nextId;
    private long nextFile = 1;
    private int failedStarts;
    private string lastStartFailure = "";
    private bool disposed;

    private ProcessPort(ImmutableArray<string> command, ProcessPortOptions options)
    {
        this.command = command;
        this.options = options;
        directory = new(options.TemporaryDirectory);
        try
        {
            Description = StartProcess();
        }
        catch
        {
            directory.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public PortDescription Description { get; }

    /// <summary>The end of what the running process has said on stderr.</summary>
    public string StderrTail
    {
        get
        {
            lock (gate)
                return process?.StderrTail ?? "";
        }
    }

    /// <summary>How many times the process had to be started again.</summary>
    public int Restarts { get; private set; }

    /// <summary>Starts a command and asks who it is.</summary>
    /// <param name="command">The command as a person writes it; see <see cref="CommandText"/>.</param>
    /// <param name="options">Limits.</param>
    /// <exception cref="FormatException">The command is empty or has an open quote.</exception>
    /// <exception cref="PortStartException">The process cannot be started or does not answer describe.</exception>
    public static ProcessPort Start(string command, ProcessPortOptions options) => Start(CommandText.Split(command), options);

    /// <summary>Starts a program with arguments and asks who it is.</summary>
    /// <exception cref="PortStartException">The process cannot be started or does not answer describe.</exception>
    public static ProcessPort Start(ImmutableArray<string> command, ProcessPortOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        return new(command, options);
    }

    /// <inheritdoc/>
    public PortAnswer Run(PortCase portCase)
    {
        ArgumentNullException.ThrowIfNull(portCase);
        ImmutableArray<string> lacks = PortSupport.Lacks(Description.Capabilities, portCase);
        if (!lacks.IsEmpty)
            return new PortAnswer.Unsupported(string.Join(", ", lacks));
        lock (gate)
        {
            ObjectDisposedException.ThrowIf(disposed, this);
            if (process is null && !TryRestart(out PortAnswer.Failed? failure))
                return failure!;
            PortAnswer answer = Ask(portCase);

            // An error that the port reports itself leaves the conversation intact; after any other failure nothing it says can be trusted.
            if (answer is PortAnswer.Failed { Kind: not PortFailureKind.Error and not PortFailureKind.Declaration })
                StopProcess();
            return answer;
        }
    }

    /// <summary>Asks the process to end, ends it and everything that it started, and deletes its files.</summary>
    public void Dispose()
    {
        lock (gate)
        {
            if (disposed)
                return;
            disposed = true;
            if (process is not null && process.TryWriteLine(PortRequests.Shutdown(nextId), options.ShutdownLimit))
                process.WaitForExit(options.ShutdownLimit);
            StopProcess();
            directory.Dispose();
        }
    }

    private PortAnswer Ask(PortCase portCase)
    {
        // A port must not be able to name the files of a later case.
        string name = string.Create(CultureInfo.InvariantCulture, $"{nextFile++}-{Guid.NewGuid():N}");
        string inputs = directory.File($"{name}.safetensors"), outputs = directory.File($"{name}.out.safetensors");
        try
        {
            if (!TryWrite(inputs, portCase, out string spoilt))
                return Failed(PortFailureKind.Protocol, $"the port removed or changed the folder of its files: {spoilt}");
            long id = nextId++;
            return Exchange(PortRequests.Run(id, portCase, inputs, outputs), id, options.CaseLimit) switch
            {
                (PortReply.Ok, _) => ReadOutputs(portCase, outputs),
                (PortReply.Unsupported unsupported, _) => Failed(
                    PortFailureKind.Declaration, $"the port declares everything that this case needs, and answered that it does not support it: {unsupported.Reason}"),
                (PortReply.Error error, _) => Failed(PortFailureKind.Error, $"the port reports: {error.Message}"),
                (_, { } failure) => failure,
                _ => throw new UnreachableException(),
            };
        }
        finally
        {
            TryDelete(inputs);
            TryDelete(outputs);
        }
    }

    /// <summary>
    /// Writes the inputs. Where that fails and works in a fresh folder, it is the port that spoilt the old one; where it fails there too, the trouble is the machine's.
    /// </summary>
    private bool TryWrite(string inputs, PortCase portCase, out string spoilt)
    {
        SafetensorsFile file = PortTensors.Inputs(portCase);
        spoilt = "";
        try
        {
            SafetensorsWriter.Write(inputs, file);
            return true;
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            spoilt = error.Message;
        }

        try
        {
            RunDirectory old = directory;
            directory = new(options.TemporaryDirectory);
            StopProcess();
            old.Dispose();
            SafetensorsWriter.Write(directory.File(Path.GetFileName(inputs)), file);
            return false;
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new TroubleException($"the inputs of a case cannot be written: {error.Message}", error);
        }
    }

    private PortAnswer ReadOutputs(PortCase portCase, string path)
    {
        try
        {
            return !File.Exists(path) && !Directory.Exists(path)
                ? Failed(PortFailureKind.Output, "the port answered ok and wrote no output file")
                : PortTensors.ReadOutputs(portCase, SafetensorsReader.Read(path, PortTensors.MaxOutputBytes(portCase)));
        }
        catch (SafetensorsException error)
        {
            return Failed(PortFailureKind.Output, $"output file: {error.Rule}");
        }
        catch (FormatException error)
        {
            return Failed(PortFailureKind.Output, $"output file: {error.Message}");
        }
    }

    /// <summary>Sends a line and waits for the line that answers it.</summary>
    private (PortReply? Reply, PortAnswer.Failed? Failure) Exchange(string request, long id, TimeSpan limit)
    {
        Stopwatch clock = Stopwatch.StartNew();
        if (process!.NextLine(TimeSpan.Zero) is LineEvent.Line unasked)
            return (null, Failed(PortFailureKind.Protocol, $"the port printed a line that nobody asked for: {PortReply.Shown(unasked.Utf8)}"));
        bool sent = process.TryWriteLine(request, limit);
        LineEvent next = process.NextLine(sent ? limit - clock.Elapsed : TimeSpan.FromMilliseconds(200));
        return next switch
        {
            LineEvent.Line line => PortReply.Parse(line.Utf8, id) switch
            {
                PortReply.Malformed malformed => (null, Failed(PortFailureKind.Protocol, $"stdout: {malformed.Message}")),
                var reply => (reply, null),
            },
            LineEvent.TooLong => (null, Failed(PortFailureKind.Protocol, $"stdout: a line is longer than {options.MaxLineBytes} bytes")),
            LineEvent.End end => (null, Failed(PortFailureKind.Crash, $"the port {process.DescribeEnd()} before it answered{Partial(end.PartialBytes)}")),
            _ when !sent => (null, Failed(PortFailureKind.Protocol, "the port closed its stdin, or does not read it")),
            _ => (null, Failed(PortFailureKind.Timeout, $"no answer within {Seconds(limit)}")),
        };

        static string Partial(int bytes) => bytes == 0 ? "" : string.Create(CultureInfo.InvariantCulture, $"; its last {bytes} bytes on stdout have no line end");
    }

    private bool TryRestart(out PortAnswer.Failed? failure)
    {
        failure = null;
        if (failedStarts >= options.MaxFailedStarts)
        {
            failure = new(PortFailureKind.Crash, string.Create(
                CultureInfo.InvariantCulture, $"not run: the port failed to start {failedStarts} times in a row, the last time because {lastStartFailure}"));
            return false;
        }

        try
        {
            Restarts++;
            StartProcess();
            return true;
        }
        catch (PortStartException error)
        {
            failure = new(PortFailureKind.Crash, $"the port could not be started again: {error.Message}");
            return false;
        }
    }

    private PortDescription StartProcess()
    {
        try
        {
            process = PortProcess.Start(directory.Mark, command, options);
            nextId = 0;
            (PortReply? reply, PortAnswer.Failed? failure) = Exchange(PortRequests.Describe(nextId), nextId++, options.StartupLimit);
            PortDescription description = reply switch
            {
                PortReply.Ok ok => PortDescriptions.TryRead(ok.Fields, out PortDescription? read, out string wrong)
                    ? read
                    : throw new PortStartException($"describe: {wrong}"),
                PortReply.Unsupported unsupported => throw new PortStartException($"describe: the port answered unsupported: {unsupported.Reason}"),
                PortReply.Error error => throw new PortStartException($"describe: the port reports: {error.Message}"),
                _ => throw new PortStartException($"describe: {failure!.Message}"),
            };
            failedStarts = 0;
            return description;
        }
        catch (PortStartException error)
        {
            StopProcess();
            failedStarts++;
            lastStartFailure = error.Message;
            throw;
        }
    }

    private void StopProcess()
    {
        process?.Dispose();
        process = null;
    }

    private PortAnswer.Failed Failed(PortFailureKind kind, string message)
    {
        string tail = kind is PortFailureKind.Error or PortFailureKind.Declaration ? "" : process?.StderrTail ?? "";
        return new(kind, tail.Length == 0 ? message : $"{message}\nstderr ends with:\n{tail}");
    }

    private static string Seconds(TimeSpan limit) => string.Create(CultureInfo.InvariantCulture, $"{limit.TotalSeconds:0.###} s");

    private static void TryDelete(string path)
    {
        try
        {
            if (Directory.Exists(path))
                Directory.Delete(path, recursive: true);
            else
                File.Delete(path);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            // What cannot be deleted now goes with the run directory.
        }
    }
}
