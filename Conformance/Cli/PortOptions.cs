// Which port does the command line name? The same options for every command that asks a port.
using System.Collections.Immutable;
using System.CommandLine;
using System.Globalization;
using S2Attn.Conformance.Ports;

namespace S2Attn.Cli;

/// <summary>The options --port, --native, --onnx, --onnx-config and the limits of a port's process.</summary>
internal sealed class PortOptions
{
    private readonly Option<string[]> port = new("--port")
    {
        DefaultValueFactory = _ => [],
        Description = $"A command that speaks the port protocol, as \"python3 my_port.py\", or one of {string.Join(", ", PortFactory.BuiltIn.Keys)}; or, to see what a bug looks like, profile:NAME (a known deviation of other code) or mutant:NAME.",
        HelpName = "COMMAND",
    };

    private readonly Option<string[]> native = new("--native")
    {
        DefaultValueFactory = _ => [],
        Description = "A shared library that exports the functions of s2attn_port.h.",
        HelpName = "LIBRARY",
    };

    private readonly Option<string[]> onnx = new("--onnx")
    {
        DefaultValueFactory = _ => [],
        Description = "An ONNX model with inputs q, k, v and output o.",
        HelpName = "MODEL",
    };

    private readonly Option<string[]> onnxConfig = new("--onnx-config")
    {
        Description = "What the model's metadata does not say, as groupSize=4 mask=Split shift=2 shiftedHeads=All scale=0.125 ragged=true.",
        HelpName = "NAME=VALUE",
        AllowMultipleArgumentsPerToken = true,
        DefaultValueFactory = _ => [],
    };

    private readonly Option<double> caseLimit = new("--case-limit")
    {
        Description = "Seconds that a port may take for one case.",
        HelpName = "SECONDS",
        DefaultValueFactory = _ => new ProcessPortOptions().CaseLimit.TotalSeconds,
    };

    private readonly Option<double> startupLimit = new("--startup-limit")
    {
        Description = "Seconds that a port may take to start.",
        HelpName = "SECONDS",
        DefaultValueFactory = _ => new ProcessPortOptions().StartupLimit.TotalSeconds,
    };

    private readonly Option<FileInfo?> log = new("--port-log") { Description = "A file that receives what the port says on stderr.", HelpName = "FILE" };

    /// <summary>Adds the options to a command.</summary>
    /// <param name="command">The command.</param>
    /// <param name="exactlyOne">Whether one port must be named; else none or several may be.</param>
    public PortOptions(Command command, bool exactlyOne = true)
    {
        foreach (Option<double> limit in new[] { caseLimit, startupLimit })
            MustBeSeconds(limit);
        command.Validators.Add(result =>
        {
            if (exactlyOne && Named(result) != 1)
                result.AddError("exactly one of --port, --native and --onnx must say what to ask");
        });
        foreach (Option option in new Option[] { port, native, onnx, onnxConfig, caseLimit, startupLimit, log })
            command.Add(option);
    }

    /// <summary>Refuses a limit that is no time.</summary>
    public static void MustBeSeconds(Option<double> limit) => limit.Validators.Add(result =>
    {
        // What is no number is told by the parser; asking the result for its value would throw here.
        if (result.Tokens.Count == 1 && double.TryParse(result.Tokens[0].Value, out double seconds) && !(seconds > 0 && seconds <= TimeSpan.FromDays(1).TotalSeconds))
            result.AddError(string.Create(CultureInfo.InvariantCulture, $"{limit.Name} = {seconds}: must be more than 0 and at most a day"));
    });

    /// <summary>How many ports the command line names.</summary>
    public int Named(System.CommandLine.Parsing.CommandResult result) =>
        new[] { port, native, onnx }.Sum(option => result.GetResult(option) is { Implicit: false } given ? given.Tokens.Count : 0);

    /// <summary>Opens the port that must be named.</summary>
    /// <exception cref="FormatException">The command, or a setting, is not well formed.</exception>
    /// <exception cref="PortStartException">The port does not start or does not describe itself.</exception>
    /// <exception cref="IOException">The log cannot be written.</exception>
    public IAttentionPort Open(ParseResult result) => OpenAll(result).Single();

    /// <summary>Opens each port that is named, one after the other; exceptions as for <see cref="Open"/>.</summary>
    public IEnumerable<IAttentionPort> OpenAll(ParseResult result)
    {
        ProcessPortOptions options = new()
        {
            CaseLimit = TimeSpan.FromSeconds(result.GetValue(caseLimit)),
            StartupLimit = TimeSpan.FromSeconds(result.GetValue(startupLimit)),
            Log = result.GetValue(log) is { } file ? PortLog.Begin(file) : TextWriter.Null,
        };
        foreach (string command in result.GetValue(port) ?? [])
            yield return PortFactory.Create(options, command);
        foreach (string library in result.GetValue(native) ?? [])
            yield return PortFactory.CreateNative(options, library);
        foreach (string model in result.GetValue(onnx) ?? [])
            yield return PortFactory.CreateOnnx(options, model, result.GetValue(onnxConfig) ?? []);
    }

    /// <summary>For each port, in the order of <see cref="OpenAll"/>, the arguments that name it again, as a POSIX shell takes them.</summary>
    public ImmutableArray<string> Arguments(ParseResult result)
    {
        string limits = string.Concat(new[] { caseLimit, startupLimit }
            .Where(limit => result.GetResult(limit) is { Implicit: false } given && given.Errors.Any() is false)
            .Select(limit => string.Create(CultureInfo.InvariantCulture, $" {limit.Name} {result.GetValue(limit)}")));
        string settings = string.Concat((result.GetValue(onnxConfig) ?? []).Select((setting, i) => (i == 0 ? $" {onnxConfig.Name} " : " ") + Quoted(setting)));
        return
        [
            .. (result.GetValue(port) ?? []).Select(command => $"{port.Name} {Quoted(command)}{limits}"),
            .. (result.GetValue(native) ?? []).Select(library => $"{native.Name} {Quoted(library)}{limits}"),
            .. (result.GetValue(onnx) ?? []).Select(model => $"{onnx.Name} {Quoted(model)}{settings}{limits}"),
        ];

        static string Quoted(string text) =>
            text.Length > 0 && text.All(c => char.IsAsciiLetterOrDigit(c) || "-_./=:,+@%".Contains(c, StringComparison.Ordinal)) ? text : $"'{text.Replace("'", "'\\''", StringComparison.Ordinal)}'";
    }
}
